"""The front door. That every ``--help`` works without the extras is held by tests/test_structure.py."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from segkd import __version__
from segkd.cli import COMMANDS, SUMMARIES, cli, main
from segkd.errors import install_command


def test_help_lists_every_command_with_its_summary() -> None:
    lines = CliRunner().invoke(cli, ["--help"]).output.splitlines()
    listed = [line.split(maxsplit=1) for line in lines[lines.index("Commands:") + 1 :]]
    assert listed == [[name, SUMMARIES[name]] for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_the_command_s_own_short_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(limit=200) == SUMMARIES[name]


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"segkd {__version__}\n"


def test_the_short_form_of_help_works_everywhere() -> None:
    for words in (["-h"], ["recipe", "-h"], ["recipe", "show", "-h"], ["list", "-h"], ["list", "recipes", "-h"]):
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, words
        assert "Usage:" in result.output


def test_a_misspelt_command_says_the_nearest() -> None:
    result = CliRunner().invoke(cli, ["distil"])
    assert result.exit_code == 2
    assert "unknown command 'distil'; did you mean 'distill'?" in result.output


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_an_error_is_one_line_on_stderr_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "recipe", "show", "gone.yaml")
    assert code == 2
    assert out == ""
    assert err.startswith("segkd: no recipe file gone.yaml; `segkd recipe copy own-small gone.yaml` makes one")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--debug", "recipe", "show"], ["recipe", "show", "--debug"]])
def test_debug_shows_where_the_error_comes_from_wherever_it_stands(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, *words, "gone.yaml")
    assert code == 2
    assert err.startswith("Traceback (most recent call last):")
    assert "in recipe_path" in err
    assert err.splitlines()[-1].startswith("segkd: no recipe file gone.yaml")


def test_a_missing_extra_is_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    (tmp_path / "run.json").write_text("{}")
    code, _, err = call(capsys, "report", str(tmp_path))
    assert code == 3
    assert err == f"segkd: jinja2 is not installed: {install_command('report')}\n"
    assert not (tmp_path / "report.html").exists()


def test_a_failed_gate_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from segkd.errors import GateFailed

    def fail(*_: object) -> None:
        raise GateFailed("agreement 0.9 is below 0.99;\n  export again")

    monkeypatch.setattr("segkd.recipe.load_recipe", fail)
    code, _, err = call(capsys, "recipe", "show", "cityscapes-pspnet-r18")
    assert code == 1
    assert err == "segkd: agreement 0.9 is below 0.99; export again\n"
