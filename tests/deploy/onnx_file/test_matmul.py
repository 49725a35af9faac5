from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from segkd.errors import SegkdError
from segkd_deploy.onnx_file.header import read_header
from segkd_deploy.onnx_file.matmul import PRECISIONS, matmul_flops, matmul_graph

SIZE = 32


def expected(frames: np.ndarray, products: int) -> np.ndarray:
    """The same in float64."""
    spread = math.sqrt((256**2 - 1) / 12)
    left, right = ((frames[0, :, :, channel] - 127.5) / spread for channel in (0, 1))
    for _ in range(products):
        left = left @ (right / math.sqrt(SIZE))
    return np.abs(left)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("signed", [True, False])
def test_it_is_a_valid_graph_that_multiplies(precision: str, signed: bool) -> None:
    content = matmul_graph(SIZE, 3, precision, signed=signed)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    frames = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    (labels,) = session.run(None, {"frames": frames})
    values = expected(frames, 3)
    assert labels.dtype == np.uint8 and labels.shape == (1, SIZE, SIZE)
    # Rounding in half, or to 127 steps, moves a value over a whole number where it is near one.
    largest = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.5}[precision]
    near = np.abs(values - labels[0] - 0.5) <= 0.5 + largest
    assert near.mean() > 0.99
    assert 0.5 < values.std() / 0.6 < 2  # neither vanishes nor overflows, however long the chain


def test_products_and_precision_are_in_the_graph(tmp_path: Path) -> None:
    for precision, quantisers in (("fp32", 0), ("fp16", 0), ("int8", 2 + 5)):
        graph = onnx.load_from_string(matmul_graph(SIZE, 5, precision)).graph
        operators = [node.op_type for node in graph.node]
        assert (operators.count("MatMul"), operators.count("QuantizeLinear")) == (5, quantisers)
    (tmp_path / "g.onnx").write_bytes(matmul_graph(SIZE, 5, "fp16"))
    header = read_header(tmp_path / "g.onnx")
    assert header.half and header.inputs[0].shape == (1, SIZE, SIZE, 3) and header.outputs[0].shape == (1, SIZE, SIZE)


def test_signs_of_int8() -> None:
    for signed, types in ((True, {3}), (False, {2, 3})):
        graph = onnx.load_from_string(matmul_graph(SIZE, 1, "int8", signed=signed)).graph
        assert {tensor.data_type for tensor in graph.initializer if tensor.name.startswith("zero")} == types


def test_operations_by_hand() -> None:
    assert matmul_flops(10, 3) == 2 * 1000 * 3


def test_unknown_precision() -> None:
    with pytest.raises(SegkdError, match="unknown precision 'fp8'"):
        matmul_graph(SIZE, 1, "fp8")
