from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[object, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["export", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_export_can_lint_what_it_wrote(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [workshop / "student", "--no-teacher", "--reference", "1", "--device", "cpu", "--precision", "fp32"]
    words += ["--out", tmp_path / "artifact", "--lint", "--chip", "thor", "--json"]
    code, out, _ = run(capsys, *words)
    (report,) = json.loads(out)["lint"]
    assert code == 0 and (report["chip"], report["tensorrt"], report["passed"]) == ("thor", "10.13", True)


def test_chip_is_checked_before_the_work(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student, out = workshop / "student", tmp_path / "artifact"
    code, _, err = run(capsys, student, "--out", out, "--lint", "--chip", "orim")
    assert code == 2 and "unknown chip 'orim'; did you mean 'orin'" in err and not out.exists()
    for words in (["--lint"], ["--chip", "orin"]):
        code, _, err = run(capsys, student, "--out", out, *words)
        assert code == 2 and "--lint and --chip go together" in err and not out.exists()
