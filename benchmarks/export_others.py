"""Our graphs in other people's runtimes: benchmarks/export.py runs this file with a Python that has them.

    python benchmarks/export_others.py GRAPH FRAMES.npy OUT.npz

OpenVINO compiles and runs the graph on the CPU in float32; Polygraphy runs it with its own onnxruntime runner. Needs
nothing of segkd. Labels go to OUT.npz, versions to standard output as JSON.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]


def run_openvino(graph: str, frames: Labels) -> Labels:
    import openvino

    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled(frame[None])[0] for frame in frames])


def run_polygraphy(graph: str, frames: Labels) -> Labels:
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx

    found = []
    with OnnxrtRunner(SessionFromOnnx(graph, providers=["CPUExecutionProvider"])) as runner:
        (name,) = runner.get_input_metadata(use_numpy_dtypes=False)
        for frame in frames:
            (labels,) = runner.infer({name: frame[None]}).values()
            found.append(np.array(labels))
    return np.concatenate(found)


RUNTIMES: dict[str, Callable[[str, Labels], Labels]] = {"openvino": run_openvino, "polygraphy": run_polygraphy}


def main() -> None:
    graph, frames, out = sys.argv[1:]
    there = [name for name in RUNTIMES if importlib.util.find_spec(name)]
    np.savez(out, **{name: RUNTIMES[name](graph, np.load(frames)) for name in there})
    print(json.dumps({name: importlib.metadata.version(name) for name in there}))


if __name__ == "__main__":
    main()
