from __future__ import annotations

from typing import Any

import pytest
from onnx import TensorProto, helper

from segkd.errors import SegkdError
from segkd_export.precision.regions import in_order, split_regions


def names(nodes: list[Any]) -> list[str]:
    return [node.op_type for node in nodes]


def test_the_parts_of_a_network(float_model: Any) -> None:
    regions = split_regions(float_model)
    assert names(regions.front) == ["Cast", "Transpose", "Sub", "Div"]
    assert names(regions.tail) == ["Resize", "ArgMax", "Cast", "Cast"]
    assert regions.body[0].op_type == "Conv" and regions.body[-1].output[0] == "logits"
    everything = [*regions.front, *regions.body, *regions.tail]
    assert [node.name for node in everything] == [node.name for node in float_model.graph.node]


def test_a_graph_without_weights() -> None:
    node = helper.make_node("Relu", ["frames"], ["logits"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("frames", "logits")]
    model = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(SegkdError, match="expected a graph with weights and a tensor 'logits'"):
        split_regions(model)


def test_order() -> None:
    first, second, third = (
        helper.make_node("Relu", [source], [target]) for source, target in (("a", "b"), ("b", "c"), ("c", "d"))
    )
    assert in_order([third, first, second]) == [first, second, third]
    with pytest.raises(RuntimeError, match="cycle"):
        in_order([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Relu", ["y"], ["x"])])
