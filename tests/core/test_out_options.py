"""Every option that names an output refuses a place that cannot be written, before any work."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from segkd.cli import COMMANDS, cli, main

# Arguments that a command wants beside --out; what they name does not matter, --out is looked at first.
COMMAND_LINES = [
    ["train", "--recipe", "quickstart-student"],
    ["distill", "--recipe", "quickstart-student"],
    ["eval", "run"],
    ["export", "run"],
    ["build", "artifact"],
    ["validate", "artifact"],
    ["bench", "artifact"],
    ["deploy", "artifact", "--target", "local"],
    ["predict", "artifact", "picture.png"],
    ["compare", "run"],
    ["release", "create", "artifact", "--gates", "gates.yaml"],
    ["report", "run"],
    ["quickstart"],
    ["data", "synth"],
    ["data", "stats", "folder:x"],
]


def end(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0), capsys.readouterr().err


def full(number: int) -> Callable[[int], None]:
    """A disk that takes no byte; root may write anywhere, so permissions prove nothing here."""

    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("words", COMMAND_LINES, ids=lambda words: words[0])
def test_every_out_is_tried_first(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "file").touch()
    code, err = end(capsys, *words, "--out", "file/below")
    assert code == 2
    assert "is a file and no folder; name another place with --out" in err
    assert err.count("\n") == 1

    (tmp_path / "dangling").symlink_to("gone")
    code, err = end(capsys, *words, "--out", "dangling")
    assert code == 2
    assert "leads nowhere; remove it, or name another with --out" in err

    for number in (errno.EROFS, errno.ENOSPC, errno.EACCES):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full(number))
            code, err = end(capsys, *words, "--out", "new/place")
        assert code == 2
        assert os.strerror(number) in err
    assert {path.name for path in tmp_path.iterdir()} == {"run", "file", "dangling"}  # nothing was made


def test_the_table_has_every_command_with_out() -> None:
    found = set()
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        inner = command.commands.values() if isinstance(command, click.Group) else [command]
        for one in inner:
            if one is not None and any("--out" in option.opts for option in one.params):
                found.add((name, one.name) if isinstance(command, click.Group) else (name,))
    listed = {tuple(words[:2]) if words[0] in ("release", "data") else (words[0],) for words in COMMAND_LINES}
    assert found == listed
