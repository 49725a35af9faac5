"""Cold start: how long a fresh process takes to its first labels, and how much memory it ever holds.

``python -m segkd_deploy.cold_start GRAPH --input 1x512x1024`` is one measurement; it prints JSON. Nothing that the
measurement counts is imported before its clock starts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkd_deploy.runners.base import RunnerSpec

# What a runtime's users import, and the extra that brings it; its import is part of the cold start.
LIBRARIES: dict[str, tuple[str, str]] = {
    "onnxruntime": ("onnxruntime", "ort"),
    "tensorrt": ("tensorrt", "tensorrt"),
    "tensorrt_rtx": ("tensorrt_rtx", "rtx"),
}

# Stands for any number of frames per call.
ANY = "any"

# Allocators reach their final size in the first calls; the peak is read after these.
SETTLING_CALLS = 3

TIMES = ("import_ms", "session_ms", "first_infer_ms", "total_ms", "process_ms")


def measure_once(
    graph: Path,
    shape: tuple[int | None, int, int],
    *,
    runtime: str,
    provider: str,
    threads: int | None,
    color: str = "RGB",
    labels_px: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Load a graph and label one batch, in this process, which should be a fresh one.

    Args:
        graph: the graph's file.
        shape: batch (None when any number goes: one frame is labelled), height and width in pixels.
        runtime: a key of ``RUNNERS``.
        provider: the runtime's provider.
        threads: threads inside an operator.
        color: what a frame holds; see ``RunnerSpec``.
        labels_px: height and width of the labels; None for the frame's.

    Returns:
        ``import_ms`` (numpy, the runner and the runtime's library), ``session_ms``, ``first_infer_ms``,
        ``total_ms`` (their sum), and ``rss_peak_bytes`` (None where the system does not tell).
    """
    start_s = time.perf_counter()
    import numpy as np

    from segkd.errors import import_extra
    from segkd_deploy.device import peak_rss_bytes
    from segkd_deploy.runners import RunnerSpec, open_runner

    import_extra(*LIBRARIES[runtime])
    imported_s = time.perf_counter()
    spec = RunnerSpec(*shape, 256, color=color, labels_px=labels_px)
    frames_shape = spec.frames_shape(shape[0] or 1)
    options: dict[str, Any] = {"provider": provider, "threads": threads, "spec": spec}
    with open_runner(graph, runtime, **options) as runner:
        opened_s = time.perf_counter()
        frames = (np.arange(int(np.prod(frames_shape))) % 251).astype(np.uint8).reshape(frames_shape)
        ready_s = time.perf_counter()
        runner.infer(frames)
        labelled_s = time.perf_counter()
        for _ in range(SETTLING_CALLS):
            runner.infer(frames)
        rss_peak_bytes = peak_rss_bytes()
    import_ms, session_ms = 1e3 * (imported_s - start_s), 1e3 * (opened_s - imported_s)
    first_infer_ms = 1e3 * (labelled_s - ready_s)
    return {
        "import_ms": import_ms,
        "session_ms": session_ms,
        "first_infer_ms": first_infer_ms,
        "total_ms": import_ms + session_ms + first_infer_ms,
        "rss_peak_bytes": rss_peak_bytes,
    }


def measure_cold_start(
    graph: Path,
    spec: RunnerSpec,
    *,
    runtime: str = "onnxruntime",
    provider: str = "cpu",
    threads: int | None = None,
    repetitions: int = 3,
) -> dict[str, Any]:
    """Measure in fresh processes, one after the other.

    Args:
        graph: the graph's file.
        spec: its shapes.
        runtime: a key of ``RUNNERS``.
        provider: the runtime's provider.
        threads: threads inside an operator.
        repetitions: how many processes.

    Returns:
        The median of every time of ``TIMES`` (``process_ms`` also counts starting Python and ending it),
        the largest ``rss_peak_bytes``, ``repetitions`` and ``samples``, the single measurements.

    Raises:
        SegkdError: if a process fails, with the last line it wrote.
    """
    import statistics

    command = [sys.executable, "-m", "segkd_deploy.cold_start", str(graph), "--runtime", runtime]
    command += ["--provider", provider, "--input", f"{spec.batch or ANY}x{spec.height_px}x{spec.width_px}"]
    command += ["--color", spec.color] + ([] if threads is None else ["--threads", str(threads)])
    command += [] if spec.labels_px is None else ["--labels", "x".join(map(str, spec.labels_px))]
    samples = [_run_child(command) for _ in range(repetitions)]
    peaks = [sample["rss_peak_bytes"] for sample in samples if sample["rss_peak_bytes"] is not None]
    return {
        **{name: statistics.median(sample[name] for sample in samples) for name in TIMES},
        "rss_peak_bytes": max(peaks, default=None),
        "repetitions": repetitions,
        "samples": samples,
    }


def _run_child(command: list[str]) -> dict[str, Any]:
    from segkd.errors import SegkdError

    start_s = time.perf_counter()
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    process_ms = 1e3 * (time.perf_counter() - start_s)
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise SegkdError(f"the cold start process ended with exit code {child.returncode}: {last}")
    sample: dict[str, Any] = json.loads(child.stdout)
    return {**sample, "process_ms": process_ms}


def main() -> None:
    """One measurement, as JSON on standard output."""
    parser = argparse.ArgumentParser(prog="python -m segkd_deploy.cold_start", description=__doc__)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--input", required=True, metavar="BATCHxHEIGHTxWIDTH")
    parser.add_argument("--color", default="RGB")
    parser.add_argument("--labels", metavar="HEIGHTxWIDTH")
    parser.add_argument("--runtime", choices=sorted(LIBRARIES), default="onnxruntime")
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    batch, height_px, width_px = arguments.input.split("x")
    options = {"runtime": arguments.runtime, "provider": arguments.provider, "threads": arguments.threads}
    if arguments.labels is not None:
        labels_height_px, labels_width_px = (int(part) for part in arguments.labels.split("x"))
        options["labels_px"] = (labels_height_px, labels_width_px)
    options["color"] = arguments.color
    shape = (None if batch == ANY else int(batch), int(height_px), int(width_px))
    print(json.dumps(measure_once(arguments.graph, shape, **options)))


if __name__ == "__main__":
    main()
