"""How near a network comes to what the device can do: its operations per second over those of a matrix product."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkd.errors import SegkdError
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.graph_spec import CPU_PROVIDERS, GraphSpec
from segkd_deploy.onnx_file.matmul import matmul_flops, matmul_graph
from segkd_deploy.runners.onnx_profile import profile_nodes

# Rows of the matrices and products per call: large enough that copies and launches do not count.
CPU_SIZE, CPU_PRODUCTS = 1024, 2
GPU_SIZE, GPU_PRODUCTS = 4096, 8
WARMUP_CALLS, FEWEST_CALLS = 1, 3

# Operators that are counted: a multiply-add is two operations; everything else is small beside them.
_COUNTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Peak:
    """What a device can do.

    Attributes:
        gflops: 10^9 operations per second.
        graph: what was run.
    """

    gflops: float
    graph: str


def measure_peak(options: RunOptions, precision: str, duration_s: float, size: int | None = None) -> Peak:
    """Operations per second of matrix products in the same runtime, provider, threads and precision.

    The fastest call counts, of at least 3 and at least ``duration_s`` seconds: a peak is a maximum.

    Args:
        options: how to open the runner.
        precision: ``fp32``, ``fp16`` or ``int8``.
        duration_s: seconds.
        size: rows of the matrices; None for one that fits the device.

    Raises:
        SegkdError: if the runtime does not take the products.
    """
    size = size or (GPU_SIZE if options.on_gpu else CPU_SIZE)
    products = GPU_PRODUCTS if options.on_gpu else CPU_PRODUCTS
    signed = options.runtime != "onnxruntime" or options.provider not in CPU_PROVIDERS
    frames = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)

    with tempfile.TemporaryDirectory(prefix="segkd-peak-") as folder:
        graph = Path(folder) / "matmul.onnx"
        graph.write_bytes(matmul_graph(size, products, precision, signed=signed))
        times_ms: list[float] = []
        with options.open(graph, GraphSpec(1, size, size, 256)) as runner:
            out = np.empty((1, size, size), np.uint8)
            for _ in range(WARMUP_CALLS):
                runner.infer(frames, out)
            end_s = time.perf_counter() + duration_s
            while len(times_ms) < FEWEST_CALLS or time.perf_counter() < end_s:
                start_ns = time.perf_counter_ns()
                runner.infer(frames, out)
                call_ms = (time.perf_counter_ns() - start_ns) / 1e6
                times_ms.append(runner.last_stages_ms.get("compute", call_ms))

    graph_words = f"{products} {precision} products of {size} x {size} matrices, the fastest of {len(times_ms)}"
    return Peak(matmul_flops(size, products) / min(times_ms) / 1e6, graph_words)


def count_flops(graph: Path, spec: GraphSpec) -> int | None:
    """Operations of a graph for one frame: convolutions and matrix products, two per multiply-add.

    onnxruntime runs it once on the CPU, unoptimised, and tells the shapes of every node.

    Args:
        graph: the ONNX file.
        spec: its shapes.

    Returns:
        None without onnxruntime, or if it cannot run the graph on the CPU.
    """
    nodes = profile_nodes(graph, spec)
    return None if nodes is None else sum(_operations(node) for node in nodes) // (spec.batch or 1)


def _operations(node: dict[str, Any]) -> int:
    """Operations of one node of a profile."""
    operator = node.get("op_name")
    if operator not in _COUNTED:
        return 0
    inputs = [next(iter(entry.values())) for entry in node["input_type_shape"]]
    output = next(iter(node["output_type_shape"][0].values()))
    if operator == "Conv":
        return 2 * int(np.prod(output)) * int(np.prod(inputs[1][1:]))
    if operator == "ConvTranspose":
        return 2 * int(np.prod(inputs[0])) * int(np.prod(inputs[1][1:]))
    # The inner side is what both matrices hold and the product does not.
    inner = int(np.prod(inputs[0][-2:])) // int(output[-2]) if len(inputs[0]) > 1 else inputs[0][0]
    return 2 * int(np.prod(output)) * inner


@dataclass(frozen=True)
class Compute:
    """The ``compute`` object of ``bench.json``; None where unknown.

    Attributes:
        flops_per_frame: operations of one frame.
        flops_source: where that number is from.
        achieved_gflops: operations per second at the median.
        peak_gflops: of the device, measured.
        peak_graph: what was run for that.
        fraction_of_peak: achieved over peak.
    """

    flops_per_frame: int | None
    flops_source: str | None
    achieved_gflops: float | None
    peak_gflops: float | None
    peak_graph: str | None
    fraction_of_peak: float | None


def describe_compute(
    flops_per_frame: int | None, source: str | None, batch: int, compute_ms: list[float], peak: Peak | None
) -> Compute:
    """What a graph computes, and how near that comes to the device's peak.

    Args:
        flops_per_frame: operations of one frame; None if unknown.
        source: where that number is from.
        batch: frames per call.
        compute_ms: what calls took.
        peak: of the device; None if it was not measured.

    Raises:
        SegkdError: without times.
    """
    if not compute_ms:
        raise SegkdError("no call was timed")
    median_ms = statistics.median(compute_ms)
    achieved = None if flops_per_frame is None else flops_per_frame * batch / median_ms / 1e6
    return Compute(
        flops_per_frame=flops_per_frame,
        flops_source=None if flops_per_frame is None else source,
        achieved_gflops=achieved,
        peak_gflops=None if peak is None else peak.gflops,
        peak_graph=None if peak is None else peak.graph,
        fraction_of_peak=None if achieved is None or peak is None else achieved / peak.gflops,
    )
