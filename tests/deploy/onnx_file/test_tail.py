from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import LabelResize
from segkd_deploy.onnx_file.tail import read_tail
from tests.deploy.artifacts import make_graph
from tests.deploy.tails import tail_graph, write_pair

GRID, SIZE = (4, 6), (30, 50)


def read(folder: Path, model: onnx.ModelProto, labels: tuple[int, int] = SIZE) -> LabelResize:
    onnx.save(model, folder / "graph.onnx")
    return read_tail(folder / "graph.onnx", "logits", GRID, labels)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("mode", ["half_pixel", "align_corners"])
def test_both_conventions_and_both_codings_of_numbers(tmp_path: Path, mode: str, raw: bool) -> None:
    found = read(tmp_path, tail_graph(GRID, SIZE, 3, coordinates=mode, raw=raw))
    assert found == LabelResize(SIZE, 0, 0, SIZE, mode == "align_corners")


def test_window(tmp_path: Path) -> None:
    found = read(tmp_path, tail_graph(GRID, SIZE, 3, window=(2, 7, 20, 40)), (20, 40))
    assert found == LabelResize(SIZE, 2, 7, (20, 40), False)


def test_any_number_of_frames(tmp_path: Path) -> None:
    assert read(tmp_path, tail_graph(GRID, SIZE, 3, batch=None)) == LabelResize(SIZE, 0, 0, SIZE, False)


def test_behind_a_network(tmp_path: Path) -> None:
    graph = write_pair(tmp_path, tail_graph(GRID, SIZE, 3))
    assert read_tail(graph, "logits", GRID, SIZE) == LabelResize(SIZE, 0, 0, SIZE, False)


def test_logits_of_full_size(tmp_path: Path) -> None:
    onnx.save(make_graph(), tmp_path / "graph.onnx")
    assert read_tail(tmp_path / "graph.onnx", "logits", (16, 24), (16, 24)) == LabelResize(
        (16, 24), 0, 0, (16, 24), False
    )


@pytest.mark.parametrize(
    ("resize", "message"),
    [
        ({"mode": "nearest"}, "Resize has mode 'nearest', not 'linear'"),
        ({"mode": "cubic"}, "Resize has mode 'cubic', not 'linear'"),
        ({"antialias": 1}, "Resize has antialias 1, not 0"),
        ({"coordinate_transformation_mode": "asymmetric"}, "has coordinate_transformation_mode 'asymmetric'"),
    ],
)
def test_refuses_another_resize(tmp_path: Path, resize: dict[str, str | int], message: str) -> None:
    mode = str(resize.pop("coordinate_transformation_mode", "half_pixel"))
    with pytest.raises(SegkdError, match=f"the host decoder cannot stand for what follows 'logits': .*{message}"):
        read(tmp_path, tail_graph(GRID, SIZE, 3, coordinates=mode, **resize))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: graph.node[1].attribute[0].__setattr__("i", 2), "ArgMax has axis 2, not 1"),
        (lambda graph: graph.node[1].attribute.append(helper.make_attribute("select_last_index", 1)), "select_last"),
        (lambda graph: graph.node[1].__setattr__("op_type", "Softmax"), "Softmax is not expected there"),
        (lambda graph: graph.node[0].__setattr__("op_type", "Upsample"), "Upsample is not expected there"),
        (lambda graph: graph.node[0].input.__setitem__(0, "other"), "the labels come from 'other'"),
        (lambda graph: graph.initializer.pop(), "'size' is no constant"),
        (lambda graph: graph.node[0].input.pop(), "Resize has scales, not sizes"),
        (lambda graph: graph.initializer[0].__setattr__("data_type", 1), "'size' is not int64"),
    ],
)
def test_refuses_other_nodes(tmp_path: Path, change, message: str) -> None:
    model = tail_graph(GRID, SIZE, 3)
    change(model.graph)
    with pytest.raises(SegkdError, match=message):
        read(tmp_path, model)


def test_refuses_a_slice_of_classes(tmp_path: Path) -> None:
    model = tail_graph(GRID, SIZE, 3, window=(2, 7, 20, 40))
    next(tensor for tensor in model.graph.initializer if tensor.name == "axis2").raw_data = b"\1" + b"\0" * 7
    with pytest.raises(SegkdError, match=r"Slice has starts \[2\], axes \[1\] and steps \[1\]"):
        read(tmp_path, model, (20, 40))


def test_refuses_what_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x3a\xff")
    with pytest.raises(SegkdError, match=r"broken\.onnx"):
        read_tail(tmp_path / "broken.onnx", "logits", GRID, SIZE)
    with pytest.raises(SegkdError, match=r"gone\.onnx: cannot be read"):
        read_tail(tmp_path / "gone.onnx", "logits", GRID, SIZE)
