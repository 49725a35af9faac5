from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segkd.errors import SegkdError
from segkd_deploy.bench.peak import Peak, count_flops, describe_compute, measure_peak
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.onnx_file.matmul import matmul_flops, matmul_graph


def small_net(path: Path, batch: int | str = 1) -> Path:
    """3 -> 4 channels by 3x3 with stride 2, grouped 1x1, transposed 2x2, a Gemm-free tail; frames are 8 x 12."""
    weights = {
        "w1": (4, 3, 3, 3),
        "w2": (4, 2, 1, 1),  # 2 groups
        "w3": (4, 5, 2, 2),  # transposed, 5 channels
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w1"], ["y1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["y1", "w2"], ["y2"], group=2),
        helper.make_node("ConvTranspose", ["y2", "w3"], ["y3"], strides=[2, 2]),
        helper.make_node("ArgMax", ["y3"], ["arg"], axis=1, keepdims=0),
        helper.make_node("Cast", ["arg"], ["labels"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [batch, 8, 12, 3])],
        [helper.make_tensor_value_info("labels", TensorProto.UINT8, [batch, 8, 12])],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


# Multiply-adds: 4x6 pixels x 4 channels x 27; 4x6 x 4 x 2; transposed: 4x6 inputs x 4 channels x 5 x 4.
BY_HAND = 2 * (24 * 4 * 27 + 24 * 4 * 2 + 24 * 4 * 20)


def test_operations_by_hand(tmp_path: Path) -> None:
    assert count_flops(small_net(tmp_path / "net.onnx"), GraphSpec(1, 8, 12, 5)) == BY_HAND


def test_operations_are_per_frame(tmp_path: Path) -> None:
    assert count_flops(small_net(tmp_path / "net.onnx", batch=3), GraphSpec(3, 8, 12, 5)) == BY_HAND
    assert count_flops(small_net(tmp_path / "any.onnx", batch="n"), GraphSpec(None, 8, 12, 5)) == BY_HAND


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_operations_of_matrix_products(tmp_path: Path, precision: str) -> None:
    (tmp_path / "m.onnx").write_bytes(matmul_graph(16, 3, precision))
    assert count_flops(tmp_path / "m.onnx", GraphSpec(1, 16, 16, 256)) == matmul_flops(16, 3)


def test_operations_of_a_graph_that_does_not_run_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    assert count_flops(tmp_path / "broken.onnx", GraphSpec(1, 8, 12, 5)) is None


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_peak_is_of_the_same_precision(precision: str) -> None:
    peak = measure_peak(RunOptions(threads=1), precision, 0.0, size=64)
    assert peak.gflops > 0
    assert peak.graph == f"2 {precision} products of 64 x 64 matrices, the fastest of 3"


def test_fraction_by_hand() -> None:
    # 3 GFLOP per frame, 2 frames in 5 ms at the median: 1200 GFLOP/s, a quarter of 4800.
    compute = describe_compute(3_000_000_000, "graph", 2, [4.0, 5.0, 90.0], Peak(4800.0, "x"))
    assert compute.achieved_gflops == pytest.approx(1200)
    assert compute.fraction_of_peak == pytest.approx(0.25)


def test_what_is_unknown_is_none() -> None:
    compute = describe_compute(None, "graph", 1, [4.0], None)
    assert set(vars(compute).values()) == {None}
    with pytest.raises(SegkdError, match="no call was timed"):
        describe_compute(1, "graph", 1, [], None)
