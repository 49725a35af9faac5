"""Cold start: how long a fresh process takes to its first labels, and how much memory it ever holds.

The child's clock starts before its first import, and the parent's before the child exists; both stop at the first
labels. Nothing but ``sys`` and ``time`` is imported at the top, so that everything a product imports is counted.
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from segkd_deploy.graph_spec import GraphSpec

# What a runtime's users import, and the extra that brings it; its import is part of the cold start.
LIBRARIES: dict[str, tuple[str, str]] = {
    "onnxruntime": ("onnxruntime", "ort"),
    "tensorrt": ("tensorrt", "tensorrt"),
    "tensorrt_rtx": ("tensorrt_rtx", "rtx"),
}

# Allocators reach their final size in the first calls; the peak is read after these.
SETTLING_CALLS = 3

TIMES = ("import_ms", "session_ms", "first_infer_ms", "total_ms", "outside_ms", "process_ms")

_LABELLED = "labelled"
_CHILD = "import time; start_s = time.perf_counter(); from segkd_deploy.bench.cold_start import main; main(start_s)"


def measure_once(
    graph: str, spec: dict[str, Any], options: dict[str, Any], start_s: float, labelled: str
) -> dict[str, Any]:
    """Load a graph and label one batch, in this process, which should be a fresh one.

    Args:
        graph: the graph's file.
        spec: fields of ``GraphSpec``.
        options: fields of ``RunOptions``; when the graph takes any number of frames, ``batch`` are labelled, or one.
        start_s: when this process began, by ``time.perf_counter``.
        labelled: written to standard output at the first labels.

    Returns:
        ``import_ms`` (numpy, the runner and the runtime's library), ``session_ms``, ``first_infer_ms``,
        ``total_ms``, their sum, and ``rss_peak_bytes``.
    """
    from pathlib import Path

    import numpy as np

    from segkd.errors import import_extra
    from segkd_deploy.bench.run_options import RunOptions
    from segkd_deploy.graph_spec import GraphSpec

    chosen, shapes = RunOptions(**options), GraphSpec(**spec)
    import_extra(*LIBRARIES[chosen.runtime])
    runner = chosen.open(Path(graph), shapes)  # imports the runner's module; the session opens below
    frames_shape = shapes.frames_shape(shapes.batch or chosen.batch or 1)
    frames = (np.arange(int(np.prod(frames_shape))) % 251).astype(np.uint8).reshape(frames_shape)
    imported_s = time.perf_counter()
    with runner:
        opened_s = time.perf_counter()
        runner.infer(frames)
        labelled_s = time.perf_counter()
        print(labelled, flush=True)
        for _ in range(SETTLING_CALLS):
            runner.infer(frames)
        from segkd_deploy.device import peak_rss_bytes

        rss_peak_bytes = peak_rss_bytes()
    return {
        "import_ms": 1e3 * (imported_s - start_s),
        "session_ms": 1e3 * (opened_s - imported_s),
        "first_infer_ms": 1e3 * (labelled_s - opened_s),
        "total_ms": 1e3 * (labelled_s - start_s),
        "rss_peak_bytes": rss_peak_bytes,
    }


def measure_cold_start(graph: Path, spec: GraphSpec, *, repetitions: int = 3, **options: Any) -> dict[str, Any]:
    """Measure in fresh processes, one after the other; files that were read before come from memory.

    Args:
        graph: the graph's file.
        spec: its shapes.
        repetitions: how many processes.
        options: of ``RunOptions``.

    Returns:
        The median of every time of ``TIMES``: those of ``measure_once``; ``outside_ms``, from the creation of the
        process to its first labels as this process sees it, so Python's own start counts; ``process_ms``, until the
        process has ended. Also the largest ``rss_peak_bytes``, ``repetitions`` and ``samples``, each measurement.

    Raises:
        SegkdError: if a process fails, with the last line it wrote.
    """
    import json
    import statistics
    from dataclasses import asdict

    from segkd_deploy.bench.run_options import RunOptions

    request = {"graph": str(graph), "spec": asdict(spec), "options": asdict(RunOptions(**options))}
    command = [sys.executable, "-c", _CHILD, json.dumps(request)]
    samples = [_run_child(command) for _ in range(repetitions)]
    peaks = [sample["rss_peak_bytes"] for sample in samples if sample["rss_peak_bytes"] is not None]
    return {
        **{name: statistics.median(sample[name] for sample in samples) for name in TIMES},
        "rss_peak_bytes": max(peaks, default=None),
        "repetitions": repetitions,
        "samples": samples,
    }


def _run_child(command: Sequence[str]) -> dict[str, Any]:
    import json
    import subprocess
    import tempfile

    from segkd.errors import SegkdError

    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        start_s = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child:
            assert child.stdout is not None
            # Libraries may write lines of their own.
            lines = iter(child.stdout.readline, "")
            seen = next((line for line in lines if line.strip() == _LABELLED), None)
            outside_ms = 1e3 * (time.perf_counter() - start_s)
            rest = list(lines)
        process_ms = 1e3 * (time.perf_counter() - start_s)
        errors.seek(0)
        last = (errors.read().strip().splitlines() or ["no message"])[-1]
    if child.returncode or seen is None:
        raise SegkdError(f"the cold start process ended with exit code {child.returncode}: {last}")
    sample: dict[str, Any] = json.loads(rest[-1])
    return {**sample, "outside_ms": outside_ms, "process_ms": process_ms}


def main(start_s: float) -> None:
    """One measurement in this process: a request as JSON in the first argument, the result as the last line."""
    import json

    print(json.dumps(measure_once(**json.loads(sys.argv[1]), start_s=start_s, labelled=_LABELLED)))
