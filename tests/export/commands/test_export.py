from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from segkd.cli import SUMMARIES, cli, main
from segkd_export.artifact import ExportResult
from segkd_export.commands.export import export


def test_help_says_what_the_front_door_says() -> None:
    assert export.get_short_help_str(200) == SUMMARIES["export"]


def test_json_and_the_same_bytes_again(exported: ExportResult, workshop: Path, tmp_path: Path) -> None:
    out = tmp_path / "artifact"
    result = CliRunner().invoke(
        cli,
        [
            "export",
            str(workshop / "student"),
            "--out",
            str(out),
            "--reference",
            "2",
            "--no-teacher",
            "--device",
            "cpu",
            "--json",
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    variant = printed["variants"]["fp32"]
    assert variant["check"]["agreement"] >= 0.9999
    assert variant["nodes"] < 60
    assert printed["reference"] == {"count": 2, "teacher": False}
    assert "reference without teacher labels" in result.stderr
    assert "torchvision" not in result.stderr
    for name in ("model.fp32.onnx", "model.fp32.logits.onnx"):
        assert (out / name).read_bytes() == (exported.folder / name).read_bytes()


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    """Run through the real entry point; the exit code and the one line on stderr."""
    with pytest.raises(SystemExit) as stop:
        main(["export", *words])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return stop.value.code, captured.err


def test_a_run_without_weights(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model.json", "recipe.yaml"):
        shutil.copy(workshop / "student" / name, run)
    code, line = failing(capsys, str(run))
    assert code == 2
    assert "student.safetensors" in line
    assert not (run / "artifact").exists()


def test_other_bad_input(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(workshop / "student")
    code, line = failing(capsys, str(tmp_path))
    assert code == 2
    assert "is no run folder" in line
    code, line = failing(capsys, run, "--precision", "fp16")
    assert code == 2
    assert "precision fp16" in line
    code, line = failing(capsys, run, "--teacher", run, "--no-teacher")
    assert code == 2
    assert "exclude each other" in line
    code, line = failing(capsys, run, "--device", "cuda:99")
    assert code == 3
    assert "CUDA" in line or "cuda:99" in line
