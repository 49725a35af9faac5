"""What benchmarks/export.py times, and how."""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch
from export_graphs import Graphs, Size, make_frames, matmul_model, tail_model
from numpy.typing import NDArray

from segkd_deploy.graph_spec import LabelResize
from segkd_deploy.runners import open_runner
from segkd_deploy.runners.host_decoder import HostDecoder
from segkd_deploy.runners.onnxruntime import open_session

Job = Callable[[], Any]
# Large enough that copies do not count.
PEAK_SIZE, PEAK_PRODUCTS = 1024, 16
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}


def interleaved(jobs: dict[str, Job], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Milliseconds of every job, one sample a round; every other round runs in the opposite order."""
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for number in range(rounds):
        for name in list(jobs) if number % 2 == 0 else list(reversed(jobs)):
            began = clock()
            jobs[name]()
            samples[name].append((clock() - began) * 1e3)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return samples


def medians(samples: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in samples.items()}


def peak_jobs(folder: Path, threads: int) -> dict[str, Job]:
    """Matrix products in onnxruntime: what this machine can do in float32 and in 8 bits."""
    noise = np.random.default_rng(1).standard_normal((PEAK_SIZE, PEAK_SIZE)).astype(np.float32)
    jobs: dict[str, Job] = {}
    for precision in ("fp32", "int8"):
        graph = folder / f"products.{precision}.onnx"
        graph.write_bytes(matmul_model(PEAK_SIZE, PEAK_PRODUCTS, precision))
        session = open_session(graph, threads=threads)
        jobs[precision] = lambda session=session: session.run(None, {"x": noise})
    return jobs


def peak_gflops(samples: list[float]) -> float:
    """Of the fastest run, since a peak is a maximum; a product of (n, n) matrices is 2 n^3 operations."""
    return 2 * PEAK_SIZE**3 * PEAK_PRODUCTS / min(samples) / 1e6


def network_jobs(graphs: Graphs, size: Size, threads: int, stack: ExitStack, *, compiled: bool) -> dict[str, Job]:
    """A frame to its labels in every way; ``bare`` is the network without either end."""
    frames = itertools.cycle(make_frames(size)[:, None])
    jobs: dict[str, Job] = {}
    for name, graph in {"fp32": graphs.complete, "int8-cpu": graphs.int8_cpu}.items():
        if graph is not None:
            runner = stack.enter_context(open_runner(graph, threads=threads, decoder="graph"))
            jobs[name] = lambda runner=runner: runner.infer(next(frames))
    host = stack.enter_context(open_runner(graphs.complete, threads=threads, decoder="host"))
    jobs["fp32, host"] = lambda: host.infer(next(frames))
    jobs["bare"] = _bare(graphs, size, threads)
    jobs["usual"] = _usual(graphs, threads, frames)
    jobs["torch eager"] = _torch(graphs.module, frames)
    if compiled:
        jobs["torch.compile"] = _torch(torch.compile(graphs.module), frames)
    return jobs


class _Normalise:
    """What a user's numpy does before such a graph."""

    def __init__(self, graphs: Graphs) -> None:
        network = graphs.module.segmenter
        self.mean, self.std = (values.reshape(3).numpy().astype(np.float32) for values in (network.mean, network.std))

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.ascontiguousarray(((frame.astype(np.float32) - self.mean) / self.std).transpose(0, 3, 1, 2))


def _bare(graphs: Graphs, size: Size, threads: int) -> Job:
    """Input and output stay where they are, so that nothing but the network is timed."""
    session = open_session(graphs.bare, threads=threads)
    image = _Normalise(graphs)(make_frames(size, 1))
    binding, output = session.io_binding(), session.get_outputs()[0]
    binding.bind_cpu_input(session.get_inputs()[0].name, image)
    logits = np.empty(output.shape, np.float32)
    binding.bind_output(output.name, "cpu", 0, np.float32, logits.shape, logits.ctypes.data)

    def job() -> Any:
        session.run_with_iobinding(binding)
        return image, logits  # the binding knows their addresses alone

    return job


def _usual(graphs: Graphs, threads: int, frames: Iterator[NDArray[np.uint8]]) -> Job:
    """Normalise in numpy, take the logits of full size out of the graph, argmax in numpy."""
    session = open_session(graphs.full_logits, threads=threads)
    name, normalise = session.get_inputs()[0].name, _Normalise(graphs)

    def job() -> Any:
        (scores,) = session.run(None, {name: normalise(next(frames))})
        return scores.argmax(axis=1).astype(np.uint8)

    return job


def _torch(module: Any, frames: Iterator[NDArray[np.uint8]]) -> Job:
    def job() -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(next(frames)))[0].numpy()

    return job


def make_logits(kind: str, classes: int, grid: Size) -> NDArray[np.float32]:
    """``regions`` looks like a network's logits; ``noise`` is the worst that can come."""
    generator = np.random.default_rng(0)
    if kind == "noise":
        return generator.standard_normal((1, classes, *grid)).astype(np.float32)
    fields = [cv2.GaussianBlur(generator.standard_normal(grid), (0, 0), min(grid) / 8) for _ in range(classes)]
    logits = np.stack(fields)[None].astype(np.float32)
    return logits / logits.std() * 3


def tail_jobs(
    folder: Path, classes: int, grid: Size, size: Size, threads: int, logits: NDArray[np.float32]
) -> tuple[dict[str, Job], HostDecoder]:
    """Logits to labels in onnxruntime and on the host; the decoder is to be closed."""
    graph = folder / f"tail{classes}.onnx"
    graph.write_bytes(tail_model(classes, grid, size))
    session, out = open_session(graph, threads=threads), np.empty((1, *size), np.uint8)
    binding = session.io_binding()
    binding.bind_cpu_input("logits", logits)
    binding.bind_output("labels", "cpu", 0, np.uint8, out.shape, out.ctypes.data)
    decoder = HostDecoder(grid, LabelResize(size, 0, 0, size, False), threads)

    def graph_job() -> Any:
        session.run_with_iobinding(binding)
        return out

    return {"onnxruntime": graph_job, "host": lambda: decoder.decode(logits)}, decoder


def versions() -> dict[str, str]:
    return {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__, "numpy": np.__version__}
