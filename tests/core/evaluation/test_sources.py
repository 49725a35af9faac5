from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.evaluation.sources import EVAL_SOURCES, Request, default_crop, default_data, kind_of, open_source
from tests.core.evaluation.blocks import LABELS


def test_every_kind_has_a_function_that_opens_it() -> None:
    for target in EVAL_SOURCES.values():
        module, attribute = target.split(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_kinds(tmp_path: Path) -> None:
    for name, file in (("run", "model.json"), ("artifact", "manifest.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
        assert kind_of(str(tmp_path / name)) == name
    (tmp_path / "w.pth").write_bytes(b"")
    assert kind_of(str(tmp_path / "w.pth"), "pspnet-r18") == "checkpoint"
    assert kind_of("hf:some/model") == kind_of("teacher.onnx") == "network"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "it has neither model.json nor manifest.json"),
        ("nothing", "is no run folder: there is nothing of this name"),
        ("w.pth", r"is a weights file: say of which network with --model NAME \(`segkd list models`\)"),
    ],
)
def test_what_cannot_be_scored(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(SegkdError, match=message):
        kind_of(str(tmp_path / name))


def test_settings_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(SegkdError, match="--model pspnet-r18 is for weights files"):
        open_source(Request(str(tmp_path), LABELS, model="pspnet-r18"))
    with pytest.raises(SegkdError, match="--variant int8 is for artifacts"):
        open_source(Request(str(tmp_path), LABELS, variant="int8"))


def test_what_a_run_says_of_itself(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"has no recipe.yaml that names its validation data: give --data"):
        default_data(str(tmp_path))
    with pytest.raises(SegkdError, match="give --crop HxW"):
        default_crop(str(tmp_path))
    (tmp_path / "recipe.yaml").write_text("schema: 1\n")
    (tmp_path / "model.json").write_text('{"imgsz": [64]}')
    with pytest.raises(SegkdError, match="names no validation data"):
        default_data(str(tmp_path))
    with pytest.raises(SegkdError, match=r"model\.json: imgsz: .*give --crop HxW"):
        default_crop(str(tmp_path))
    (tmp_path / "recipe.yaml").write_text("schema: 1\ndata: {val: 'folder:/x'}\n")
    (tmp_path / "model.json").write_text('{"imgsz": [64, 128]}')
    assert default_data(str(tmp_path)) == "folder:/x" and default_crop(str(tmp_path)) == (64, 128)


def test_a_graph_that_has_taken_the_best_class_leaves_none_out(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(SegkdError, match=r"--class-map: the graphs of .* have taken the most likely class already"):
        open_source(Request(str(tmp_path), LABELS, class_map={"void": None}))
    with pytest.raises(SegkdError, match=r"--fit tile: the graphs of .* resize frames themselves"):
        open_source(Request(str(tmp_path), LABELS, fit="tile"))
