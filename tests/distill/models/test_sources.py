from __future__ import annotations

import sys
from pathlib import Path

import pytest

from segkd.errors import MissingExtra, SegkdError
from segkd.recipe import parse_recipe
from segkd.recipe.names import FOREIGN_MODELS, check_names
from segkd_distill.models.sources import ADAPTERS, absolute_model, is_foreign, open_model
from segkd_distill.models.zoo import MODELS


def test_prefixes_are_those_that_recipes_accept() -> None:
    assert set(ADAPTERS) == set(FOREIGN_MODELS)
    assert check_names(parse_recipe({"student": {"model": "timm:a+psp"}, "teacher": {"model": "hf:org/name"}}), "r")
    assert is_foreign("hf:x") and is_foreign("torch:a:b") and is_foreign("nets/a.onnx") and not is_foreign("pspnet-r18")


def test_names_of_our_own() -> None:
    model, config = open_model("quickstart-mv2", 3)
    assert config is MODELS["quickstart-mv2"] and model.num_classes == 3
    with pytest.raises(SegkdError, match="unknown model 'quickstart-mv3'; did you mean 'quickstart-mv2'"):
        open_model("quickstart-mv3", 3)


def test_paths_in_names_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "a.onnx").touch()
    assert absolute_model("hf:net") == f"hf:{tmp_path / 'net'}" == absolute_model(f"hf:{tmp_path / 'net'}")
    assert absolute_model("a.onnx") == str(tmp_path / "a.onnx") and absolute_model("net") == str(tmp_path / "net")
    for name in ("hf:nvidia/segformer-b0", "timm:a+psp", "torch:a:b", "pspnet-r18", "nowhere.onnx"):
        assert absolute_model(name) == name


def test_a_missing_timm_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"timm is not installed: pip install .*\[timm\]'"):
        open_model("timm:mobilenetv3_large_100+deeplabv3plus", 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:mobilenetv3_large_100", "expected timm:ENCODER"),
        ("timm:mobilenetv3_large_100+pspp", "unknown head 'pspp'; did you mean 'psp'"),
        ("timm:mobilenetv3_large_100+psp,strides=8", "unknown option of timm:mobilenetv3_large_100.psp 'strides'"),
        ("timm:mobilenetv3_large_100+psp,stride=high", "stride=high has no meaning"),
    ],
)
def test_names_for_timm_are_read_before_it_is_needed(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SegkdError, match=message):
        open_model(name, 3)
