from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from segkd_deploy.onnx_file.edit import GraphBytes, Quantised
from segkd_deploy.onnx_file.wire import FLOAT
from segkd_deploy.parity.sessions import open_bytes
from segkd_deploy.runners.onnxruntime import run_frames
from tests.deploy.parity.small import RIGHT, make_frames, make_model

MODEL = make_model(replace(RIGHT, quantised=(-6.0, 5.0)), "logits")
CONTENT = MODEL.SerializeToString()


def test_nodes_are_those_that_onnx_reads() -> None:
    nodes = GraphBytes(CONTENT).nodes()
    assert [(one.op_type, one.name, one.inputs, one.outputs) for one in nodes] == [
        (one.op_type, one.name, tuple(one.input), tuple(one.output)) for one in MODEL.graph.node
    ]
    labels = GraphBytes(make_model(replace(RIGHT, mode="nearest"), "labels").SerializeToString()).nodes()
    (resize,) = [one for one in labels if one.op_type == "Resize"]
    assert resize.attributes["mode"] == "nearest" and resize.attributes["nearest_mode"] == "floor"
    (argmax,) = [one for one in labels if one.op_type == "ArgMax"]
    assert argmax.attributes["axis"] == 1


def test_one_byte_makes_the_frames_floats() -> None:
    changed = GraphBytes(CONTENT).with_float_input()
    assert changed is not None and sum(a != b for a, b in zip(changed, CONTENT, strict=True)) == 1
    model = onnx.load_from_string(changed)
    assert model.graph.input[0].type.tensor_type.elem_type == FLOAT
    frames = make_frames()
    plain, floats = (
        run_frames(open_bytes(content), given, 1)
        for content, given in ((CONTENT, frames), (changed, frames.astype(np.float32)))
    )
    np.testing.assert_array_equal(plain, floats)
    assert GraphBytes(changed).with_float_input() is None


def test_inner_tensors_come_out() -> None:
    session = open_bytes(GraphBytes(CONTENT).with_outputs(["active", "input"]))
    assert [one.name for one in session.get_outputs()] == ["logits", "active", "input"]
    active, given = session.run(["active", "input"], {"frames": make_frames()[:1]})
    assert active.min() == 0.0 and given.shape == (1, 3, 48, 64)


def test_initializers_can_be_replaced() -> None:
    frames = make_frames()
    plain = run_frames(open_bytes(CONTENT), frames, 1)
    other = run_frames(open_bytes(CONTENT, initializers={"scale": np.array(5.0, np.float32)}), frames, 1)
    assert np.abs(plain - other).max() > 0.1


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(("kind", "code", "low", "high"), [(np.int8, 0, -64.0, 63.5), (np.uint8, 200, -100.0, 27.5)])
def test_ranges(raw: bool, kind: type, code: int, low: float, high: float) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    for tensor in model.graph.initializer:
        for name, value in (("scale", np.array(0.5, np.float32)), ("zero", np.array(code, kind))):
            if tensor.name == name and raw:
                tensor.CopyFrom(numpy_helper.from_array(value, name))
            elif tensor.name == name:
                tensor.CopyFrom(
                    helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(value.dtype), [], [value.item()])
                )
    found = GraphBytes(model.SerializeToString()).quantised()
    assert found == [Quantised("active", low, high, "scale", "zero", kind is np.int8)]
