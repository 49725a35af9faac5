from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.recipe import parse_recipe
from segkd.recipe_names import check_names


def check(values: dict[str, Any]) -> bool:
    return check_names(parse_recipe(values), "mine.yaml")


def test_known_names_pass(tmp_path: Path) -> None:
    assert check(
        {
            "data": {"train": "cityscapes:/data/cs", "unlabelled": "images:/data/frames"},
            "student": {"model": "pspnet-r18"},
            "teacher": {"model": str(tmp_path)},
            "methods": ["cwd+kd:0.5", {"kd": {}}],
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
        ({"methods": ["kd", "cdw"]}, "mine.yaml: methods: unknown method 'cdw'"),
        ({"methods": ["kd+cdw:2"]}, "mine.yaml: methods: unknown method 'cdw'"),
    ],
)
def test_unknown_names(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SegkdError) as error:
        check(values)
    assert str(error.value).startswith(message)


def test_without_torch_only_data_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert check({"student": {"model": "nonsense"}}) is False
    with pytest.raises(SegkdError, match="unknown data set"):
        check({"data": {"val": "nonsense:/data"}})
