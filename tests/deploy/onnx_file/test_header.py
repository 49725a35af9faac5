from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.onnx_file.header import TensorInfo, read_header, spec_of
from segkd_deploy.onnx_file.wire import FLOAT16, UINT8
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX, make_graph


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "graph.onnx"
    onnx.save(model, path)
    return path


def test_reads_what_onnx_reads(tmp_path: Path) -> None:
    header = read_header(save(make_graph(classes=["a", "b"]), tmp_path))
    assert header.inputs == [TensorInfo("frames", UINT8, (1, HEIGHT_PX, WIDTH_PX, 3))]
    assert header.outputs == [TensorInfo("labels", UINT8, (1, HEIGHT_PX, WIDTH_PX))]
    assert header.op_types == {"Cast", "Transpose", "Conv", "ArgMax"}
    assert header.initializer_types == {TensorProto.FLOAT}
    assert header.opsets == {"": 18}
    assert header.metadata == {"classes": '["a", "b"]'}


def test_initializers_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    model = make_graph()
    model.graph.input.append(helper.make_tensor_value_info("kernel", TensorProto.FLOAT, [3, 3, 1, 1]))
    assert [info.name for info in read_header(save(model, tmp_path)).inputs] == ["frames"]


def test_what_needs_flags_is_found(tmp_path: Path) -> None:
    model = make_graph()
    header = read_header(save(model, tmp_path))
    assert (header.half, header.quantised) == (False, False)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float16), "half"))
    model.graph.node.append(helper.make_node("QuantizeLinear", ["float", "bias"], ["q"]))
    header = read_header(save(model, tmp_path))
    assert FLOAT16 in header.initializer_types and header.half and header.quantised


def test_spec_of_a_complete_graph(tmp_path: Path) -> None:
    path = save(make_graph(batch="N", classes=["a", "b", "c"]), tmp_path)
    assert spec_of(path) == GraphSpec(None, HEIGHT_PX, WIDTH_PX, 3)
    assert spec_of(save(make_graph(), tmp_path)) == GraphSpec(1, HEIGHT_PX, WIDTH_PX, 256)


def border(frames: list[Any], labels: list[Any], said: dict[str, str]) -> onnx.ModelProto:
    """A graph of nothing but its border."""
    given = helper.make_tensor_value_info("frames", TensorProto.UINT8, frames)
    taken = helper.make_tensor_value_info("labels", TensorProto.UINT8, labels)
    model = helper.make_model(helper.make_graph([], "border", [given], [taken]))
    helper.set_model_props(model, said)
    return model


def test_spec_of_a_camera_graph(tmp_path: Path) -> None:
    said = {"color": "NV12", "yuv": "bt601", "content": "[2, 0, 12, 32]"}
    spec = spec_of(save(border([1, 36, 32], [1, 16, 32], said), tmp_path))
    expected = {"color": "NV12", "yuv": "bt601", "labels_px": (16, 32), "content_px": (2, 0, 12, 32)}
    assert spec == GraphSpec(1, 24, 32, 256, **expected)  # type: ignore[arg-type]
    assert spec.frames_shape(1) == (1, 36, 32)


@pytest.mark.parametrize(
    ("frames", "labels"),
    [([1, 8, 8, 4], [1, 8, 8]), ([1, 8, 8, 3], [1, 3, 8, 8]), ([1, "h", 8, 3], [1, "h", 8]), ([1, 12, 8], [1, 8, 8])],
)
def test_refuses_graphs_that_are_not_complete(frames: list[Any], labels: list[Any], tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"graph\.onnx: expected a complete graph.*found frames type 2"):
        spec_of(save(border(frames, labels, {}), tmp_path))


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x3a\xff\xff", b"\x0b", b"\xff" * 12])
def test_refuses_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(SegkdError, match=r"other\.onnx: is no ONNX model|other\.onnx is empty: copy it again"):
        read_header(path)
    with pytest.raises(SegkdError, match=r"gone\.onnx: no such graph"):
        read_header(tmp_path / "gone.onnx")


def test_every_cut_of_a_file_is_refused_or_read(tmp_path: Path) -> None:
    whole = make_graph().SerializeToString()
    path = tmp_path / "cut.onnx"
    for size in range(1, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(SegkdError, match="is no ONNX model"):
            spec_of(path)
