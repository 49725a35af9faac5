from __future__ import annotations

import sys
from pathlib import Path

import pytest

from segkd import errors
from segkd.errors import (
    BackendMissing,
    GateFailed,
    MissingExtra,
    SegkdError,
    import_extra,
    install_command,
    unknown_name,
)


def test_exit_codes() -> None:
    assert [error.exit_code for error in (GateFailed, SegkdError, BackendMissing, MissingExtra)] == [1, 2, 3, 3]


def test_an_unknown_name_says_the_nearest_or_all() -> None:
    assert str(unknown_name("model", "pspnet18", ["pspnet-r18", "fcn"])) == (
        "unknown model 'pspnet18'; did you mean 'pspnet-r18'?"
    )
    assert str(unknown_name("model", "xyz", ["b", "a"])) == "unknown model 'xyz'; known: a, b"


def test_import_extra() -> None:
    assert import_extra("json", "train") is sys.modules["json"]
    with pytest.raises(MissingExtra, match="no_such_module is not installed: pip install"):
        import_extra("no_such_module", "train")


def test_an_extra_is_installed_from_the_checkout_where_segkd_runs_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert install_command("train") == f"pip install -e '.[train]' in {Path(__file__).resolve().parents[2]}"
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages" / "segkd" / "errors.py"))
    assert install_command("train") == "pip install 'segkd[train]'"


def test_import_extra_names_what_the_module_itself_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_there.py").write_text("import missing_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match="missing_dependency is not installed"):
        import_extra("half_there", "export")
