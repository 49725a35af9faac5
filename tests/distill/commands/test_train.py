from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd import cli
from tests.distill.commands.command_line import segkd, small
from tests.distill.training import save_teacher


def test_help_and_summary() -> None:
    assert cli.SUMMARIES["train"] in segkd("train", "--help").stdout
    for option in ("--resume", "--set", "--amp", "--init-from", "--threads"):
        assert option in segkd("train", "-h").stdout
    assert "--teacher" not in segkd("train", "-h").stdout


def test_a_run_and_its_result(streets: Path, tmp_path: Path) -> None:
    result = segkd("train", *small(streets, tmp_path / "run"), "--json", "--workers", 1, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "run" / "run.json").read_text())
    assert "device: cpu (1 threads)" in result.stderr

    again = segkd("train", *small(streets, tmp_path / "run"))
    assert again.exit_code == 2 and "already holds a run" in again.stderr
    finished = segkd("train", "--resume", tmp_path / "run")
    assert finished.exit_code == 0 and "nothing to resume" in finished.stderr
    assert finished.stdout.startswith("mIoU ")
    other = segkd("train", "--resume", "--out", tmp_path / "run", "--lr", 0.5, "--iters", 2)
    assert other.exit_code == 2
    assert "train.lr is 0.01 there, 0.5 here" in other.stderr and "iters" not in other.stderr


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "nothing"], "expected NAME:PATH"),
        (["--data", "citiscapes:/x"], "did you mean 'cityscapes'"),
        (["--data", "cityscapes:/nowhere"], "no folder /nowhere"),
        (["--student", "quickstart-mv1"], "did you mean 'quickstart-mv2'"),
        (["--recipe", "no-such-recipe"], "recipe"),
        (["--set", "train.itres=3"], "did you mean"),
        (["--set", "train.iters"], "expected KEY=VALUE"),
        (["--iters", "0"], "--iters"),
        (["--lr", "-1"], "--lr"),
        (["--imgsz", "32,64"], "is no size"),
        (["--set", "methods=[cwd]"], "use `segkd distill`"),
        (["--set", "train.devices=2"], "train.devices"),
        (["--device", "tpu"], "device 'tpu' is not known"),
        (["--init-from", "/nowhere.pth"], "no weights file"),
        (["--unlabelled", "images:/x"], "--unlabelled"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    streets: Path, tmp_path: Path, extra: list[str], message: str
) -> None:
    result = segkd("train", *small(streets, tmp_path / "run"), *extra)
    assert result.exit_code == 2, result.output
    assert message in result.stderr.splitlines()[-1] and "Traceback" not in result.output
    assert result.stdout == "" and list(tmp_path.iterdir()) == []


def test_a_missing_gpu_is_exit_3(streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = segkd("train", *small(streets, tmp_path / "run"), "--device", "cuda")
    assert result.exit_code == 3 and "no CUDA device" in result.stderr and list(tmp_path.iterdir()) == []
    result = segkd("train", *small(streets, tmp_path / "run"), "--amp", "fp16")
    assert result.exit_code == 3 and "fp16 needs a GPU" in result.stderr and list(tmp_path.iterdir()) == []


def test_a_broken_image_is_named(streets: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "streets"
    shutil.copytree(streets, copy)
    broken = sorted(copy.rglob("leftImg8bit/train/*/*.png"))[5]
    broken.write_bytes(broken.read_bytes()[:200])
    for workers in (0, 1):
        result = segkd(
            "train", *small(copy, tmp_path / f"run{workers}"), "--iters", 20, "--eval-every", 20, "--workers", workers
        )
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1].startswith(f"segkd: {broken}"), result.stderr


def test_without_a_folder(streets: Path) -> None:
    result = segkd("train", "--data", f"cityscapes:{streets}", "--student", "quickstart-mv2")
    assert result.exit_code == 2 and "no run folder: give --out" in result.stderr


def test_weights_of_another_run_to_start_from(streets: Path, tmp_path: Path) -> None:
    start = save_teacher(tmp_path / "start", streets, model="quickstart-mv2")
    result = segkd("train", *small(streets, tmp_path / "run"), "--iters", 1, "--init-from", start)
    assert result.exit_code == 0, result.output
    wrong = save_teacher(tmp_path / "wrong", streets, model="quickstart-r18")
    result = segkd("train", *small(streets, tmp_path / "run2"), "--init-from", wrong)
    assert result.exit_code == 2 and "another architecture" in result.stderr
