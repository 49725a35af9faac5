from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from segkd_export.precision.fp16 import to_fp16
from segkd_export.precision.probe import Probe, open_model
from segkd_export.precision.regions import split_regions
from tests.export.conftest import ODD_SIZE, random_frames


def kinds(model: Any) -> dict[str, int]:
    """Value -> element type, for everything but the graph's constants."""
    inferred = onnx.shape_inference.infer_shapes(model)
    return {info.name: info.type.tensor_type.elem_type for info in (*inferred.graph.value_info, *inferred.graph.output)}


def test_only_the_body_is_half(float_model: Any) -> None:
    half, _ = to_fp16(float_model)
    before, after = split_regions(float_model), kinds(half)
    for node in (*before.front[1:], before.tail[0]):
        assert after[node.output[0]] == TensorProto.FLOAT, node.op_type
    convolutions = [node.output[0] for node in before.body if node.op_type == "Conv" and node.output[0] != "logits"]
    assert {after[name] for name in convolutions} == {TensorProto.FLOAT16}
    assert [node.op_type for node in half.graph.node].count("Cast") == 5, "two of them new, around the body"
    assert len(half.graph.node) == len(float_model.graph.node) + 2
    assert half.metadata_props == float_model.metadata_props


def test_it_says_nearly_the_same(float_model: Any) -> None:
    score = Probe(float_model, list(random_frames(1, 3, ODD_SIZE)), None, 1, 19).score(to_fp16(float_model)[0])
    assert score.agreement >= 0.999
    assert 0 < score.logits_relative_l2 <= 5e-3


def test_the_same_bytes_again_and_the_argument_stays(float_model: Any) -> None:
    before = float_model.SerializeToString(deterministic=True)
    first, second = (to_fp16(float_model)[0].SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert float_model.SerializeToString(deterministic=True) == before
    assert len(first) < 0.6 * len(before)


def test_a_constant_of_two_regions_is_kept_in_both() -> None:
    """One constant scales the frame, in float32, and the body, in half precision."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["x"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "c"], ["scaled"], name="front"),
        helper.make_node("Conv", ["scaled", "w"], ["y"], name="conv"),
        helper.make_node("Mul", ["y", "c"], ["logits"], name="body"),
        helper.make_node("ArgMax", ["logits"], ["best"], name="best", axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["labels"], name="labels", to=TensorProto.UINT8),
    ]
    constants = [
        numpy_helper.from_array(np.array([1 / 3], np.float32), "c"),
        numpy_helper.from_array(np.ones((2, 1, 1, 1), np.float32), "w"),
    ]
    shape = [1, 1, 2, 2]
    outputs = [
        helper.make_tensor_value_info("labels", TensorProto.UINT8, [1, 2, 2]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, 2, 2]),
    ]
    inputs = [helper.make_tensor_value_info("frames", TensorProto.UINT8, shape)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    half, _ = to_fp16(model)
    assert {tensor.name: tensor.data_type for tensor in half.graph.initializer} == {
        "c": TensorProto.FLOAT,
        "c.fp16": TensorProto.FLOAT16,
        "w": TensorProto.FLOAT16,
    }
    logits = open_model(half).run(["logits"], {"frames": np.full(shape, 9, np.uint8)})[0]
    np.testing.assert_allclose(logits, 1.0, rtol=1e-3)
