"""``segkd predict`` through its real entry point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core.data.files import cut_short, save
from tests.deploy.artifacts import change_a_byte, make_frames
from tests.deploy.conftest import Run

CPU = ("--runtime", "onnxruntime", "--threads", "1")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for index, frame in enumerate(make_frames(2)):
        save(tmp_path / "in" / f"{index}.png", frame)
    return tmp_path / "in"


def test_a_folder(segkd: Run, pristine: Path, pictures: Path, tmp_path: Path) -> None:
    result = segkd("predict", pristine, pictures, "--out", tmp_path / "out", *CPU)
    assert result.code == 0, result.err
    assert result.out.startswith("2 frames\nstage  ")
    assert "frames/s (pre, infer, post);" in result.out
    assert "artifact: variant fp32 on onnxruntime" in result.err
    assert (tmp_path / "out" / "labels" / "1.png").is_file() and (tmp_path / "out" / "overlay" / "1.jpg").is_file()


def test_json_and_damaged_files(segkd: Run, pristine: Path, pictures: Path, tmp_path: Path) -> None:
    cut_short(pictures / "0.png")
    words = ("--out", tmp_path / "out", "--labels-only", "--json", *CPU)
    stopped = segkd("predict", pristine, pictures, *words)
    assert stopped.code == 2 and "0.png" in stopped.err and "--skip-damaged" in stopped.err
    result = segkd("predict", pristine, pictures, *words, "--skip-damaged", "--variant", "fp32")
    assert result.code == 0, result.err
    content = json.loads(result.out)
    assert (content["frames"], len(content["skipped"]), content["variant"]) == (1, 1, "fp32")
    assert content["runtime"]["threads"] == 1
    assert "skipped: " in result.err and "0.png" in result.err
    assert not (tmp_path / "out" / "overlay").exists()


def test_a_run_is_no_artifact(segkd: Run, pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    result = segkd("predict", run, pictures, "--out", tmp_path / "out")
    assert (
        result.code == 2 and f"is a run, not an artifact: `segkd export {run} --out ARTIFACT` makes one" in result.err
    )
    result = segkd("predict", pictures, pictures, "--out", tmp_path / "out")
    assert result.code == 2 and "is no artifact folder" in result.err


def test_exit_codes(segkd: Run, artifact: Path, pictures: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert segkd("predict", artifact, tmp_path / "gone", *out).code == 2
    assert segkd("predict", artifact, pictures, *out, "--alpha", "1.5").code == 2
    assert segkd("predict", artifact, pictures, *out, "--runtime", "onnxruntime", "--provider", "cuda").code == 3
    change_a_byte(artifact / "model.fp32.onnx")
    changed = segkd("predict", artifact, pictures, *out)
    assert changed.code == 1 and "model.fp32.onnx has changed" in changed.err
