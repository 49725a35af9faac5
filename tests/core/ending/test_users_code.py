from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from segkd.ending.users_code import first_line, is_users, users_error, users_line
from segkd.errors import SegkdError


@pytest.fixture
def raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """What a user's module raises two calls deep, behind a library's frame."""
    (tmp_path / "mine_users_code.py").write_text("import json\n\n\ndef work():\n    return json.loads('[')\n")
    for name in ("mine_users_code", "torn_users_code"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError) as caught:
        importlib.import_module("mine_users_code").work()
    return caught.value


def test_the_line_of_their_file_not_the_library_s(raised: Exception) -> None:
    assert users_line(raised) == "mine_users_code.py:5"
    error = users_error("torch:mine:work", raised, "mend it")
    assert str(error).startswith("torch:mine:work: mine_users_code.py:5: JSONDecodeError: Expecting value")
    assert str(error).endswith("; mend it") and error.exit_code == 2


def test_a_cause_s_line_and_a_file_that_does_not_parse(raised: Exception, tmp_path: Path) -> None:
    outer = RuntimeError("in a library")
    outer.__cause__ = raised
    assert users_line(outer) == "mine_users_code.py:5"
    (tmp_path / "torn_users_code.py").write_text("x = (\n")
    with pytest.raises(SyntaxError) as caught:
        importlib.import_module("torn_users_code")
    assert users_line(caught.value) == "torn_users_code.py:1"


def test_ours_and_libraries_are_not_theirs(tmp_path: Path) -> None:
    import click

    import segkd.cli

    assert not is_users(segkd.cli.__file__) and not is_users(click.__file__) and not is_users(importlib.__file__)
    assert is_users(str(tmp_path / "a.py")) and not is_users("<string>")


def test_an_error_that_is_one_line_stays_and_long_texts_are_cut() -> None:
    known = SegkdError("say so")
    assert users_error("x", known) is known
    assert users_line(ValueError("never raised")) is None
    assert first_line(ValueError("\n first \n second")) == "first"
    assert len(first_line(ValueError("a" * 5000))) == 300
    assert first_line(ValueError()) == "ValueError"
