from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segkd.errors import SegkdError
from segkd.recipe import Recipe, load_recipe
from segkd_distill import train as loop
from segkd_distill import validation
from segkd_distill.assemble import resolve_recipe
from segkd_distill.run.changes import recipe_differences, require_same_run, same_rates
from segkd_distill.run.interrupt import Interrupted
from segkd_distill.train import fit
from tests.distill.training import losses, recipe_of, same, save_teacher, weights

Fit = Callable[..., dict[str, object]]


@pytest.fixture
def half(streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distillation of 4 steps, killed after its second, whose data and teacher may be moved."""
    shutil.copytree(streets, tmp_path / "data")
    save_teacher(tmp_path / "teacher", streets)
    stop_after(2, monkeypatch, lambda: fit(distillation(tmp_path, "data"), tmp_path / "run", device="cpu"))
    return tmp_path


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> None:
    class Stop(loop.StopRequest):
        def __init__(self) -> None:
            super().__init__()
            self.asked = 0

        @property
        def signal_number(self) -> int | None:  # type: ignore[override]
            return 15 if self.asked >= 2 * step else self._count()

        @signal_number.setter
        def signal_number(self, value: int | None) -> None: ...

        def _count(self) -> None:
            self.asked += 1

    with monkeypatch.context() as patch:
        patch.setattr(loop, "StopRequest", Stop)
        with pytest.raises(Interrupted):
            run()


def distillation(root: Path, data: str, teacher: str = "teacher", *more: str) -> Recipe:
    folder = root / data
    return recipe_of(
        folder,
        f"data.train='cityscapes:{folder},frames=:7'",
        f"data.unlabelled='cityscapes:{folder},frames=7:'",
        f"teacher.model={root / teacher}",
        "methods=[kd]",
        "train.iters=4",
        "eval.every=4",
        *more,
    )


def test_moved_data_and_teacher_are_known_by_their_content(half: Path) -> None:
    run = half / "run"
    (half / "data").rename(half / "moved")
    with pytest.raises(SegkdError, match=r"data\.train: .*data is not there any more; .*--resume .*run --data NAME:"):
        fit(load_recipe(run / "recipe.yaml"), run, device="cpu", resume=True)
    (half / "teacher").rename(half / "other")
    with pytest.raises(SegkdError, match=r"teacher\.model: .*--teacher NEW_PLACE"):
        fit(distillation(half, "moved"), run, device="cpu", resume=True)
    # Of the data only the new place of data.train is named: val and unlabelled lay in the same folder.
    own = load_recipe(run / "recipe.yaml")
    data = own.data.model_copy(update={"train": f"cityscapes:{half / 'moved'},frames=:7"})
    teacher = own.teacher.model_copy(update={"model": str(half / "other")})
    record = fit(own.model_copy(update={"data": data, "teacher": teacher}), run, device="cpu", resume=True)
    assert record["last"]["step"] == 4
    there = load_recipe(run / "recipe.yaml")
    assert str(there.data.val) == f"cityscapes:{half / 'moved'}" and there.teacher.model == str(half / "other")


def test_other_content_at_the_new_place_is_refused(half: Path) -> None:
    (half / "data").rename(half / "moved")
    picture = next((half / "moved").rglob("leftImg8bit/train/*/*.png"))
    before = picture.read_bytes()
    picture.write_bytes(before + b"0")
    with pytest.raises(SegkdError, match=r"data\.\w+ is not what it was"):
        fit(distillation(half, "moved"), half / "run", device="cpu", resume=True)
    picture.write_bytes(before)
    shutil.rmtree(half / "teacher")
    save_teacher(half / "teacher", half / "moved", seed=8)
    with pytest.raises(SegkdError, match="teacher's weights are not those"):
        fit(distillation(half, "moved"), half / "run", device="cpu", resume=True)


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ("eval.every=2", True),
        ("eval.protocol=cirkd", True),
        ("gates={agreement: 0.9}", True),
        ("export.imgsz=[64, 64]", True),
        ("train.lr=0.02", False),
        ("train.iters=16", False),
        ("methods=[cwd]", False),
        ("student.model=quickstart-r18", False),
        ("augment.flip=0.1", False),
    ],
)
def test_what_may_change(streets: Path, change: str, allowed: bool) -> None:
    there, here = resolve_recipe(recipe_of(streets)), recipe_of(streets, change)
    here = there.model_copy(update={part: getattr(here, part) for part in (change.split(".")[0].split("=")[0],)})
    assert (recipe_differences(there, here) == []) is allowed
    if not allowed:
        with pytest.raises(SegkdError, match=r"--init-from .*run --out OTHER"):
            require_same_run(Path("run"), there, here)


def test_more_steps_where_the_schedule_stays_the_same(streets: Path, tmp_path: Path) -> None:
    constant = "train.schedule={poly: {min_lr: 0.01}}"
    short, long = recipe_of(streets, constant, "train.iters=4"), recipe_of(streets, constant, "train.iters=6")
    assert same_rates(short, long) and not same_rates(recipe_of(streets), recipe_of(streets, "train.iters=9"))
    heads = "train.head_lr_mult=10"  # their rates go down from ten times as much
    assert not same_rates(recipe_of(streets, constant, heads), recipe_of(streets, constant, heads, "train.iters=9"))
    run, whole = tmp_path / "run", tmp_path / "whole"
    assert fit(short, run, device="cpu")["iters"] == 4
    record = fit(long, run, device="cpu", resume=True)
    assert record["iters"] == 6 and record["last"]["step"] == 6
    fit(long, whole, device="cpu")
    ours, theirs = (loop.load_recipe(folder / "recipe.yaml") for folder in (run, whole))
    assert ours == theirs and losses(run)[-1] == losses(whole)[-1]
    with pytest.raises(SegkdError, match=r"schedule leads down .*--init-from"):
        fit(recipe_of(streets, "train.iters=9"), run, device="cpu", resume=True)


def test_weights_that_were_lost_come_back(half: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, recipe = half / "run", distillation(half, "data")
    fit(recipe, run, device="cpu", resume=True)
    best = weights(run)
    for harm in ("lost", "cut"):
        path = run / "student.safetensors"
        content = path.read_bytes()
        path.unlink()
        if harm == "cut":
            path.write_bytes(content[: len(content) // 2])
        fit(recipe, run, device="cpu", resume=True)
        assert same(weights(run), best) and "is written again" in capsys.readouterr().err
    (run / "student.safetensors").unlink()
    (run / "last.ckpt").unlink()
    with pytest.raises(SegkdError, match=r"no such file; the run cannot go on: begin it again with another --out"):
        fit(recipe, run, device="cpu", resume=True)


def test_a_lost_checkpoint_says_what_is_left(half: Path) -> None:
    run, recipe = half / "run", distillation(half, "data")
    fit(recipe, run, device="cpu", resume=True)
    (run / "run.json").unlink()
    (run / "last.ckpt").unlink()
    with pytest.raises(SegkdError, match=r"best weights .* are whole: .* --init-from .*run and another --out"):
        fit(recipe, run, device="cpu", resume=True)
    with pytest.raises(SegkdError, match=r"without the last\.ckpt .*--init-from") as caught:
        fit(recipe, run, device="cpu")
    assert "--resume" not in str(caught.value)


def test_a_failed_validation_loses_no_step(streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run, whole = recipe_of(streets), tmp_path / "run", tmp_path / "whole"

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(validation, "evaluate", fail)
        with pytest.raises(OSError, match="No space"):
            fit(recipe, run, device="cpu")
    assert torch.load(run / "last.ckpt", weights_only=True)["step"] == 4
    fit(recipe, run, device="cpu", resume=True)
    fit(recipe, whole, device="cpu")
    assert losses(run) == losses(whole) and same(weights(run), weights(whole))


def test_other_rules_of_validation_score_the_best_weights_again(
    streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    first = fit(recipe_of(streets, "train.iters=4"), run, device="cpu")
    (run / "run.json").unlink()
    other = recipe_of(streets, "train.iters=4", "eval.mode=slide")
    capsys.readouterr()
    second = fit(other, run, device="cpu", resume=True)
    assert second["best"]["step"] == first["best"]["step"] and second["best"]["miou"] == second["eval"]["miou"]
    assert "step 4: by the new rules of validation mIoU" in capsys.readouterr().err
    (run / "run.json").unlink()
    fit(other, run, device="cpu", resume=True)
    assert "new rules" not in capsys.readouterr().err


def test_a_diverged_validation_speaks_of_the_learning_rate(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = validation.evaluate

    def poisoned(model: torch.nn.Module, *arguments: object, **options: object) -> object:
        with torch.no_grad():
            next(model.parameters()).fill_(float("nan"))
        return real(model, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(validation, "evaluate", poisoned)
    with pytest.raises(SegkdError, match=r"validation after step 4 .*diverged.*lower train\.lr") as caught:
        fit(recipe_of(streets), tmp_path / "run", device="cpu")
    assert "image" not in str(caught.value)
