from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from segkd.cli import cli
from segkd.errors import SegkdError


def write_run(folder: Path) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"params": 10, "eval": {"miou": 0.5, "per_class": {"road": 0.5}}}))
    return folder


def test_the_page_lies_in_the_folder_and_its_path_is_printed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    result = CliRunner().invoke(cli, ["report", str(folder)])
    assert result.stdout == f"{folder / 'report.html'}\n"
    assert "Run run" in (folder / "report.html").read_text()


def test_out(tmp_path: Path) -> None:
    folder, out = write_run(tmp_path / "run"), tmp_path / "pages" / "a.html"
    result = CliRunner().invoke(cli, ["report", str(folder), "--out", str(out)])
    assert result.exit_code == 0
    assert out.is_file()
    assert not (folder / "report.html").exists()


def test_nothing_to_report(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", str(tmp_path)])
    assert isinstance(result.exception, SegkdError)
    assert CliRunner().invoke(cli, ["report", str(tmp_path / "gone")]).exit_code == 2
