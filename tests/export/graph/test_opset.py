from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from segkd.errors import SegkdError
from segkd_deploy.chips import chip_named
from segkd_export.graph.opset import to_opset_17
from segkd_export.lint.lint import lint_model

SHAPE = (1, 4, 6, 5)
HALVES = {"y": (1, 4, 6, 3), "z": (1, 4, 6, 2)}


def model_of(nodes: list[Any], outputs: dict[str, tuple[int, ...]], **constants: list[int]) -> Any:
    """A model of opset 18 that takes x, float32 of SHAPE."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


CASES = {
    "mean": model_of([helper.make_node("ReduceMean", ["x", "a"], ["y"], name="mean")], {"y": (1, 1, 6, 1)}, a=[1, -1]),
    "max of all": model_of([helper.make_node("ReduceMax", ["x"], ["y"], name="max", keepdims=0)], {"y": ()}),
    "split": model_of([helper.make_node("Split", ["x"], ["y", "z"], name="s", axis=3, num_outputs=2)], HALVES),
    "split, axis from the end": model_of(
        [helper.make_node("Split", ["x"], ["y", "z"], name="s", axis=-1, num_outputs=2)], HALVES
    ),
    "pad": model_of(
        [helper.make_node("Pad", ["x", "p", "", "a"], ["y"], name="p")], {"y": (1, 4, 8, 9)}, p=[1, 2, 3, 0], a=[-1, 2]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_values_in_the_older_form(name: str) -> None:
    model = CASES[name]
    before = model.SerializeToString(deterministic=True)
    older = to_opset_17(model)
    assert [entry.version for entry in older.opset_import] == [17]
    assert model.SerializeToString(deterministic=True) == before, "the argument stays"
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    for found, expected in zip(
        ReferenceEvaluator(older).run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x}), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    chip = chip_named("orin")
    rules = {finding.rule for finding in lint_model(older, chip, chip.line("8.6")).findings}
    assert rules.isdisjoint({"opset", "opset-18"})


def test_resize_loses_only_what_is_the_default() -> None:
    def resized(**options: Any) -> Any:
        sizes = helper.make_node("Resize", ["x", "", "", "s"], ["y"], name="r", mode="linear", **options)
        return model_of([sizes], {"y": (1, 4, 12, 10)}, s=[1, 4, 12, 10])

    older = to_opset_17(resized(antialias=0, keep_aspect_ratio_policy="stretch"))
    assert [entry.name for entry in older.graph.node[0].attribute] == ["mode"]
    with pytest.raises(SegkdError, match=r"Resize r has no form in opset 17 \(antialias is newer\); .* --opset 18"):
        to_opset_17(resized(antialias=1))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Mish", ["x"], ["y"], name="m"), r"Mish m has no form in opset 17 \(the operator is newer\)"),
        (helper.make_node("ReduceSum", ["x"], ["y"], name="m"), None),
        (
            helper.make_node("ReduceMax", ["x", "c"], ["y"], name="m"),
            r"ReduceMax m has no form .*its axes are computed",
        ),
    ],
)
def test_what_cannot_be_said_is_named(node: Any, message: str | None) -> None:
    computed = helper.make_node("Shape", ["x"], ["c"], name="shape", start=0, end=1)
    model = model_of([computed, node], {"y": (1, 1, 1, 1)})
    if message is None:
        onnx.checker.check_model(to_opset_17(model))
        return
    with pytest.raises(SegkdError, match=message):
        to_opset_17(model)
