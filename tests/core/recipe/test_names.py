from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.recipe import parse_recipe, read_recipe
from segkd.recipe.names import check_names


def check(values: dict[str, Any]) -> bool:
    return check_names(parse_recipe(values), "mine.yaml")


def test_known_names_pass(tmp_path: Path) -> None:
    assert check(
        {
            "data": {"train": "cityscapes:/data/cs", "unlabelled": "images:/data/frames"},
            "student": {"model": "pspnet-r18"},
            "teacher": {"model": str(tmp_path)},
            "methods": ["cwd+kd:0.5", {"brd": {}}],
        }
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"data": {"val": "cityscape:/data"}},
            "mine.yaml: data.val: unknown data set 'cityscape'; did you mean 'citys",
        ),
        ({"data": {"train": "/data"}}, "mine.yaml: data.train: data '/data': expected NAME:PATH"),
        (
            {"student": {"model": "pspnet-r19"}},
            "mine.yaml: student.model: unknown model 'pspnet-r19'; did you mean 'psp",
        ),
        ({"teacher": {"model": "pspnet_r50"}}, "mine.yaml: teacher.model: unknown model 'pspnet_r50'; did you mean"),
        ({"methods": ["kd", "cdw"]}, "mine.yaml: methods.1: unknown method 'cdw'"),
        ({"methods": ["kd+cdw:2"]}, "mine.yaml: methods.0: unknown method 'cdw'"),
    ],
)
def test_unknown_names(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SegkdError) as error:
        check(values)
    assert str(error.value).startswith(message)


def test_without_torch_names_are_checked_options_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else real(name))
    assert check({"methods": [{"cwd": {"temprature": 1}}]}) is False
    with pytest.raises(SegkdError, match="unknown model 'nonsense'"):
        check({"student": {"model": "nonsense"}})


def test_without_the_training_room_only_data_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert check({"student": {"model": "nonsense"}}) is False
    with pytest.raises(SegkdError, match="unknown data set"):
        check({"data": {"val": "nonsense:/data"}})


def test_parts_and_options_are_checked_with_file_line_and_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for text, message in (
        ("train:\n  loss: focal\n", ":2: train.loss: unknown loss 'focal'; known: ce, ohem"),
        ("train:\n  loss:\n    ohem:\n      treshold: 1\n", ":4: train.loss.ohem.treshold: .* mean 'threshold'"),
        ("methods:\n- kd\n- cwd:\n    temprature: 3\n", ":4: methods.1.cwd.temprature: .* mean 'temperature'"),
        ("train:\n  seed: 1\n  optimizer: adamm\n", ":3: train.optimizer: unknown optimizer .* mean 'adamw'"),
        ("train:\n  schedule: {poly: {powr: 3}}\n", ":2: train.schedule.poly.powr: .* mean 'power'"),
        ("student:\n  model: pspnet-r19\n", ":2: student.model: unknown model"),
    ):
        file.write_text(text)
        with pytest.raises(SegkdError, match=f"^{file}{message}"):
            check_names(*read_recipe(file))
    with pytest.raises(SegkdError, match=r"^--set train\.loss=ohm: train\.loss: .* mean 'ohem'"):
        check_names(*read_recipe(None, ["train.loss=ohm"]))
