"""What ``segkd bench`` adds to what it measures: the same graph in a bare onnxruntime loop, and in a bare process.

    python benchmarks/bench_overhead.py ARTIFACT                    the artifact's first variant, 1 thread
    python benchmarks/bench_overhead.py ARTIFACT --variant int8-cpu --threads 2 --rounds 40
    python benchmarks/bench_overhead.py ARTIFACT --json

Warm calls: blocks of the loop that ``segkd bench`` times with, and blocks of ``session.run`` between two readings of a
clock, take turns in one process, every other round in the opposite order. The medians of all calls are compared.

Cold start: a process that imports segkd's runner, opens it, labels one frame and prints a line is timed from outside
until that line, and so is one that only prints; their difference is held against the ``total_ms`` that ``segkd bench``
reports. A process that does the same with onnxruntime alone shows what the runner costs. The four take turns. On a
busy machine the smallest of each says more than the medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from segkd_deploy.artifact import Artifact, open_artifact
from segkd_deploy.bench.cold_start import measure_cold_start
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.bench.scenarios.base import batches_of
from segkd_deploy.bench.scenarios.single_stream import SingleStream

CALLS = 10

BARE = """
import sys
import numpy
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
session = onnxruntime.InferenceSession(sys.argv[1], sess_options=options, providers=["CPUExecutionProvider"])
session.run(None, {session.get_inputs()[0].name: numpy.load(sys.argv[3])})
print("labelled", flush=True)
"""


SAME = """
import sys
from pathlib import Path
import numpy
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.graph_spec import GraphSpec
frames = numpy.load(sys.argv[3])
spec = GraphSpec(*map(int, sys.argv[4:7]), 256, color=sys.argv[7])
with RunOptions(threads=int(sys.argv[2])).open(Path(sys.argv[1]), spec) as runner:
    runner.infer(frames)
    print("labelled", flush=True)
"""


SCRIPTS = {"same": SAME, "bare": BARE, "empty": "print(flush=True)"}


def bare_session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session as the documentation of onnxruntime makes one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(graph), sess_options=options, providers=["CPUExecutionProvider"])


def warm(artifact: Artifact, variant: str, threads: int, rounds: int) -> dict[str, float]:
    """Medians of both loops in milliseconds, and their ratio."""
    graph, spec = artifact.graph(variant), artifact.spec()
    batch = spec.batch or 1
    batches = batches_of(artifact.frames(), batch)
    out = np.empty(spec.labels_shape(batch), np.uint8)
    session = bare_session(graph, threads)
    name = session.get_inputs()[0].name
    ours: list[int] = []
    bare: list[int] = []

    def run_bare() -> None:
        frames = itertools.cycle(batches)
        for _ in range(CALLS):
            feed = {name: next(frames)}
            start_ns = time.perf_counter_ns()
            session.run(None, feed)
            bare.append(time.perf_counter_ns() - start_ns)

    with RunOptions(threads=threads).open(graph, spec) as runner:

        def run_ours() -> None:
            ours.extend(SingleStream().run(runner, itertools.cycle(batches), out, CALLS, 0.0).latencies_ns)

        for index in range(rounds + 1):
            for loop in (run_ours, run_bare) if index % 2 else (run_bare, run_ours):
                loop()
            if index == 0:  # the first round warms up
                ours.clear()
                bare.clear()
    ours_ms, bare_ms = statistics.median(ours) / 1e6, statistics.median(bare) / 1e6
    return {"bench_p50_ms": ours_ms, "bare_p50_ms": bare_ms, "ratio": ours_ms / bare_ms, "calls": len(ours)}


def outside_ms(*words: str) -> float:
    """How long a fresh process takes to its first line of output, seen from here."""
    start_s = time.perf_counter()
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        elapsed_ms = 1e3 * (time.perf_counter() - start_s)
    if not line or child.returncode:
        raise RuntimeError(f"{' '.join(words)} failed")
    return elapsed_ms


def cold(artifact: Artifact, variant: str, threads: int, rounds: int) -> dict[str, float]:
    """Medians and smallest cold starts in milliseconds, and their ratios."""
    graph, spec = artifact.graph(variant), artifact.spec()
    samples: dict[str, list[float]] = {"bench": [], "same": [], "empty": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npy"
        np.save(frames, batches_of(artifact.frames(), spec.batch or 1)[0])
        shape = [str(side) for side in (spec.batch or 1, spec.height_px, spec.width_px)]
        for index in range(rounds + 1):
            for name in list(samples) if index % 2 else reversed(samples):
                if name == "bench":
                    elapsed_ms = measure_cold_start(graph, spec, repetitions=1, threads=threads)["total_ms"]
                else:
                    words = [str(graph), str(threads), str(frames), *shape, spec.color]
                    elapsed_ms = outside_ms("-c", SCRIPTS[name], *words)
                samples[name].append(elapsed_ms)
            if index == 0:  # fills the page cache
                for values in samples.values():
                    values.clear()
    result: dict[str, float] = {"processes": rounds}
    for word, choose in (("", statistics.median), ("min_", min)):
        chosen = {name: choose(values) for name, values in samples.items()}
        outside, bare = (chosen[name] - chosen["empty"] for name in ("same", "bare"))
        result |= {f"{word}bench_total_ms": chosen["bench"], f"{word}outside_ms": outside}
        result |= {f"{word}ratio": chosen["bench"] / outside, f"{word}bare_onnxruntime_ms": bare}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--variant")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--cold-rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON")
    words = parser.parse_args()
    artifact = open_artifact(words.artifact)
    variant = artifact.variants([words.variant] if words.variant else [])[0]
    result = {
        "variant": variant,
        "threads": words.threads,
        "onnxruntime": onnxruntime.__version__,
        "warm": warm(artifact, variant, words.threads, words.rounds),
        "cold": cold(artifact, variant, words.threads, words.cold_rounds),
    }
    if words.json:
        print(json.dumps(result, indent=2))
        return
    calls, start = result["warm"], result["cold"]
    print(f"{variant}, {words.threads} threads, onnxruntime {onnxruntime.__version__}")
    print(
        f"warm  bench {calls['bench_p50_ms']:.3f} ms  bare {calls['bare_p50_ms']:.3f} ms  "
        f"ratio {calls['ratio']:.3f}  ({calls['calls']} calls each)"
    )
    print(
        f"cold  bench {start['bench_total_ms']:.1f} ms  outside {start['outside_ms']:.1f} ms  "
        f"ratio {start['ratio']:.3f}, of the smallest {start['min_ratio']:.3f}  "
        f"onnxruntime alone {start['bare_onnxruntime_ms']:.1f} ms  ({start['processes']} processes each)"
    )


if __name__ == "__main__":
    main()
