from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from segkd.errors import SegkdError
from segkd.recipe import Recipe
from segkd_distill import train as loop
from segkd_distill.run.interrupt import Interrupted
from segkd_distill.run.resume import load_checkpoint
from segkd_distill.train import fit
from tests.distill.training import losses, recipe_of, same, save_teacher, weights


class Crash(Exception):
    """The process is gone: nothing is saved after it."""


@pytest.fixture(scope="module")
def teacher(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_teacher(tmp_path_factory.mktemp("teacher") / "run", streets)


@pytest.fixture(scope="module")
def distillation(streets: Path, teacher: Path) -> Recipe:
    """Dropout, warm-up, balanced methods, the teacher's labels, averaged weights, adapters with batch statistics,
    mixed batches, an epoch that ends in the middle.
    """
    return recipe_of(
        streets,
        f"data.train='cityscapes:{streets},frames=:7'",
        f"data.unlabelled='cityscapes:{streets},frames=7:'",
        f"teacher.model={teacher}",
        "methods=[{cwd: {on: both, adapter: conv_bn_relu}}, bpkd]",
        "teacher.pseudo_labels=0.1",
        "train.ema=0.7",
        "train.warmup_iters=5",
    )


@pytest.fixture(scope="module")
def uninterrupted(distillation: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    fit(distillation, run, device="cpu")
    return run


def fail_in_step(monkeypatch: pytest.MonkeyPatch, step: int, action: Any) -> None:
    """Let ``action()`` happen while a step's batch is prepared."""
    real = loop.draw_distortion
    calls = {"step": 0}

    def draw(*arguments: Any) -> Any:
        if calls["step"] == step:
            action()
        calls["step"] += 1
        return real(*arguments)

    monkeypatch.setattr(loop, "draw_distortion", draw)


def raise_crash() -> None:
    raise Crash


def assert_equal_runs(run: Path, whole: Path) -> None:
    assert same(weights(run), weights(whole))
    ours, theirs = (load_checkpoint(folder / "last.ckpt") for folder in (run, whole))
    for key in ("model", "method", "optimizer", "adversary_optimizer", "step", "best", "last", "random"):
        assert same(ours[key], theirs[key]), key
    assert losses(run) == losses(whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_crashed_run_continues_exactly(
    distillation: Recipe, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """The checkpoint is of step 5, the crash in step 7: steps 5 and 6 are done again, their log lines replaced."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fail_in_step(patch, 7, raise_crash)
        with pytest.raises(Crash):
            fit(distillation, run, device="cpu", workers=workers, save_every=5)
    assert load_checkpoint(run / "last.ckpt")["step"] == 5
    assert losses(run)[-1][0] == 7
    record = fit(distillation, run, device="cpu", workers=workers, resume=True)
    assert_equal_runs(run, uninterrupted)
    assert record["eval"]["miou"] == record["best"]["miou"]


def test_a_crash_before_the_first_checkpoint(
    distillation: Recipe, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fail_in_step(patch, 2, raise_crash)
        with pytest.raises(Crash):
            fit(distillation, run, device="cpu")
    assert load_checkpoint(run / "last.ckpt")["step"] == 0
    fit(distillation, run, device="cpu", resume=True)
    assert_equal_runs(run, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_saves(
    distillation: Recipe, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        fail_in_step(patch, 2, lambda: os.kill(os.getpid(), number))
        expected = rf"stopped by {number.name} after step 3 of 8, saved; continue with: segkd distill --resume .*run$"
        with pytest.raises(Interrupted, match=expected) as caught:
            fit(distillation, run, device="cpu")
    assert caught.value.exit_code == 128 + number
    assert load_checkpoint(run / "last.ckpt")["step"] == 3 and not (run / "run.json").exists()
    fit(distillation, run, device="cpu", resume=True)
    assert_equal_runs(run, uninterrupted)


def as_385fdeb_wrote_it(run: Path) -> None:
    """Take from a run's checkpoint what came later: checksum, teacher, balance, best weights and their rules."""
    state = load_checkpoint(run / "last.ckpt")
    later = {"teacher", "balance"}
    state["best"] = {key: value for key, value in state["best"].items() if key not in ("weights", "rules")}
    torch.save({key: value for key, value in state.items() if key not in later}, run / "last.ckpt")
    (run / "last.ckpt.1").unlink(missing_ok=True)


def test_a_run_of_an_earlier_segkd_continues_exactly(
    streets: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(streets, f"teacher.model={teacher}", "methods=[{cwd: {weight: 1}}]")
    whole, run = tmp_path / "whole", tmp_path / "run"
    fit(recipe, whole, device="cpu")
    with monkeypatch.context() as patch:
        fail_in_step(patch, 6, raise_crash)
        with pytest.raises(Crash):
            fit(recipe, run, device="cpu", save_every=5)
    as_385fdeb_wrote_it(run)
    (run / "student.safetensors").rename(tmp_path / "best")
    with pytest.raises(SegkdError, match="of an earlier segkd, which kept the best weights there"):
        fit(recipe, run, device="cpu", resume=True)
    (tmp_path / "best").rename(run / "student.safetensors")
    fit(recipe, run, device="cpu", resume=True)
    assert_equal_runs(run, whole)


def test_a_finished_run_says_so(distillation: Recipe, uninterrupted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (uninterrupted / "last.ckpt").read_bytes()
    record = fit(distillation, uninterrupted, device="cpu", resume=True)
    assert record["last"]["step"] == 8 and "nothing to resume" in capsys.readouterr().err
    assert (uninterrupted / "last.ckpt").read_bytes() == before


def test_a_run_that_lost_its_record_writes_it_again(distillation: Recipe, uninterrupted: Path, tmp_path: Path) -> None:
    import json
    import shutil

    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    (run / "run.json").unlink()
    record = fit(distillation, run, device="cpu", resume=True)
    assert record["eval"] == json.loads((uninterrupted / "run.json").read_text())["eval"]


def test_data_that_changed_are_refused(streets: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "streets"
    shutil.copytree(streets, copy)
    fit(recipe_of(copy, "train.iters=1"), tmp_path / "run", device="cpu")
    (tmp_path / "run" / "run.json").unlink()
    next(copy.rglob("leftImg8bit/train/*/*.png")).unlink()
    with pytest.raises(SegkdError):
        fit(recipe_of(copy, "train.iters=1"), tmp_path / "run", device="cpu", resume=True)


def start(run: Path, streets: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "segkd", "train", "--data", f"cityscapes:{streets}", "--student", "quickstart-mv2"]
    command += ["--imgsz", "32x64", "--iters", "120", "--batch", "2", "--save-every", "7", "--eval-every", "50"]
    command += ["--device", "cpu", "--threads", "1", "--out", str(run), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_lines(run: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        path = run / "metrics.jsonl"
        if path.exists() and len(path.read_text().splitlines()) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the run wrote nothing")


@pytest.mark.long
@pytest.mark.parametrize("workers", ["0", "2"])
def test_kill_9_in_the_middle_of_an_epoch(streets: Path, tmp_path: Path, workers: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(whole, streets)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    process = start(killed, streets, "--workers", workers)
    wait_for_lines(killed, 10)
    process.kill()
    process.communicate(timeout=60)
    assert not (killed / "run.json").exists()
    process = start(killed, streets, "--workers", workers, "--resume")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0 and "resumed after step" in errors
    assert_equal_runs(killed, whole)


@pytest.mark.long
@pytest.mark.parametrize("workers", ["0", "2"])
def test_sigterm_to_the_whole_process_group(streets: Path, tmp_path: Path, workers: str) -> None:
    """As a scheduler sends it: the loading processes get it too."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "segkd", "train", "--data", f"cityscapes:{streets}", "--student", "quickstart-mv2"]
    command += ["--imgsz", "32x64", "--iters", "4000", "--batch", "4", "--device", "cpu", "--workers", workers]
    process = subprocess.Popen(
        [*command, "--out", str(run)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for_lines(run, 1)
    os.killpg(process.pid, signal.SIGTERM)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 143 and out == ""
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("segkd: stopped by SIGTERM after step ")
    assert f"continue with: segkd train --resume {run}" in errors
