from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_distill.models.catalogue.weights_table import HOST, WEIGHTS, cache_folder, find_weights, published
from segkd_distill.models.zoo import MODELS


def test_every_row_is_a_file_of_one_host_with_the_digits_of_its_name() -> None:
    assert len(WEIGHTS) >= 20
    assert len({row.url for row in WEIGHTS.values()}) == len(WEIGHTS)
    assert len({row.path.name for row in WEIGHTS.values()}) == len(WEIGHTS)
    for name, row in WEIGHTS.items():
        assert row.name == name
        assert row.url.startswith(HOST + ("pretrain/third_party/" if "/pretrain/" in row.url else "mm"))
        assert re.fullmatch(r"[0-9a-f]{8}", row.sha256) and row.url.endswith(f"-{row.sha256}.pth")


def test_every_row_is_for_a_model_of_the_zoo() -> None:
    for row in WEIGHTS.values():
        assert any(fnmatch(model, row.model) for model in MODELS), row
        assert row.is_backbone or row.model in MODELS


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "segkd" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "segkd" / "weights"


def test_paths_come_before_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SegkdError, match="resnet18-v1c are not here yet: `segkd weights fetch resnet18-v1c`"):
        find_weights("resnet18-v1c")
    row = published("resnet18-v1c")
    row.path.parent.mkdir(parents=True)
    row.path.write_bytes(b"x")
    assert find_weights("resnet18-v1c") == row.path
    (tmp_path / "resnet18-v1c").write_bytes(b"y")
    assert find_weights("resnet18-v1c") == Path("resnet18-v1c")


def test_unknown_names_and_paths() -> None:
    with pytest.raises(SegkdError, match=r"no weights file /nowhere/w\.pth$"):
        find_weights("/nowhere/w.pth")
    with pytest.raises(SegkdError, match="did you mean 'resnet18-v1c'"):
        find_weights("resnet18_v1c")
    with pytest.raises(SegkdError, match="unknown published weights 'resnet18-v1b'; did you mean 'resnet18-v1c'"):
        published("resnet18-v1b")
