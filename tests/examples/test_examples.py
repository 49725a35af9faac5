"""Every script of examples/ runs, on tiny data, as `python examples/NAME.py` would."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import Tensor

from tests.deploy.artifacts import make_artifact
from tests.distill.commands.command_line import segkd, small
from tests.distill.conftest import streets as streets
from tests.docs.pages import ROOT

EXAMPLES = ROOT / "examples"
LONGEST = 60
TESTED = {"camera_loop", "loss_in_your_loop", "method_of_your_own", "teacher_of_your_own"}


def run(name: str, monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_every_example_is_short_and_tested() -> None:
    lines = {path.stem: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert set(lines) == TESTED
    assert {name: count for name, count in lines.items() if count >= LONGEST} == {}


def test_loss_in_your_loop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from segkd_distill import losses

    terms: list[float] = []

    def noted(*logits: Tensor, **options: float) -> Tensor:
        term = channel_wise(*logits, **options)
        terms.append(term.item())
        return term

    channel_wise = losses.channel_wise
    monkeypatch.setattr(losses, "channel_wise", noted)
    run("loss_in_your_loop", monkeypatch, "--steps", 3)
    printed = re.findall(r"(\w+): loss (\d+\.\d+) after 3 steps", capsys.readouterr().out)
    assert [name for name, _ in printed] == ["teacher", "student"]
    assert len(terms) == 3 and min(terms) > 0
    assert float(printed[1][1]) > terms[-1], "the student's loss is the task's and the lesson's"


def test_method_of_your_own(streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segkd_distill.methods import METHODS

    monkeypatch.setitem(METHODS, "sure", "")  # taken away again after the test
    assert segkd("train", *small(streets, tmp_path / "teacher")).exit_code == 0
    words = [*small(streets, tmp_path / "run"), "--teacher", tmp_path / "teacher", "--method", "sure+cwd"]
    with pytest.raises(SystemExit) as end:
        run("method_of_your_own", monkeypatch, *words)
    assert not end.value.code
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"sure/logits", "cwd/logits"} <= set().union(*logged)


def test_teacher_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segkd.data.base import open_dataset
    from tests.docs.reader import own_things

    own_things(tmp_path)
    monkeypatch.chdir(EXAMPLES)
    run("teacher_of_your_own", monkeypatch, tmp_path / "mine.pt")
    data = f"folder:{tmp_path / 'my_data'}"
    assert len(open_dataset(data).labels.names) == 5
    options = ["--student", "quickstart-mv2", "--imgsz", "32x64", "--batch", 2, "--iters", 2, "--device", "cpu"]
    words = ["--teacher", "torch:teacher_of_your_own:teacher", "--teacher-weights", tmp_path / "mine.pt"]
    result = segkd("distill", "--data", data, *options, *words, "--method", "kd", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output


def test_camera_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = make_artifact(tmp_path / "artifact")
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (48, 32))
    for red in (0, 120, 250):
        film.write(np.full((32, 48, 3), (0, 0, red), np.uint8))
    film.release()
    run("camera_loop", monkeypatch, artifact, tmp_path / "film.avi")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[3].startswith("3 frames, ") and "100%" in lines[2]
    with pytest.raises(SystemExit, match="OpenCV cannot open it"):
        run("camera_loop", monkeypatch, artifact, tmp_path / "none.avi")
