from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd.recipe import load_recipe
from segkd_distill import methods, validation
from segkd_distill import train as loop
from segkd_distill.assemble import assemble, resolve_recipe
from segkd_distill.methods.base import Group, Method, StepContext
from segkd_distill.models.output import SegOutput, TapInfo
from segkd_distill.models.saved_model import load_run
from segkd_distill.run.resume import load_checkpoint
from segkd_distill.step import DistillStep
from segkd_distill.train import fit
from tests.distill.training import losses, recipe_of, same, save_teacher, weights


class Recorder(Method):
    """A method with an adapter that sleeps, an adversary, and a diary."""

    diary: list[tuple[str, int]] = []  # noqa: RUF012

    def __init__(self, student: TapInfo, teacher: TapInfo, num_classes: int) -> None:
        super().__init__()
        self.adapter = nn.Parameter(torch.ones(num_classes))
        self.judge = nn.Conv2d(num_classes, 1, 1)
        Recorder.diary = []

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        scaled = student.logits * self.adapter.view(1, -1, 1, 1)
        return {"fool": -self.judge(student.logits).mean(), "scaled": 0.01 * scaled.pow(2).mean()}

    def parameter_groups(self) -> list[Group]:
        return [Group("adapter", [self.adapter], lr_mult=2.0, max_norm=1.0, active=lambda step: step >= 6)]

    def adversary(self, student_logits: Tensor, teacher_logits: Tensor) -> dict[str, Tensor]:
        assert not student_logits.requires_grad and not teacher_logits.requires_grad
        return {"judge": self.judge(student_logits).mean() - self.judge(teacher_logits).mean()}

    def adversary_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.judge.parameters(), lr=1e-3)

    def before_step(self, ctx: StepContext) -> None:
        Recorder.diary.append(("before", ctx.step))

    def after_step(self, ctx: StepContext) -> None:
        Recorder.diary.append(("after", ctx.step))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setitem(methods.METHODS, "recorder", f"{__name__}:Recorder")
    return Recorder


def test_a_run_folder_has_everything(streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = fit(recipe_of(streets), tmp_path / "run", device="cpu")
    run = tmp_path / "run"
    names = {path.name for path in run.iterdir()}
    expected = {"recipe.yaml", "student.safetensors", "model.json", "last.ckpt", "metrics.jsonl", "run.json"}
    assert names == expected | {"tensorboard"}
    assert json.loads((run / "run.json").read_text()) == record
    assert load_recipe(run / "recipe.yaml").data.val == f"cityscapes:{streets}"
    assert record["kind"] == "train" and record["iters"] == 8 and record["seed"] == 3
    assert record["last"]["step"] == 8 and record["best"]["step"] in (4, 8)
    assert record["eval"]["miou"] == record["best"]["miou"] >= record["last"]["miou"]
    assert set(record["eval"]["per_class"]) == set(load_run(run).label_space.names)
    assert record["params"] == sum(p.numel() for p in load_run(run).model.parameters())
    assert 0 < record["seconds"]["train"] < record["seconds"]["total"]
    assert load_run(run).imgsz == (64, 128)

    rows = losses(run)
    assert [step for step, event, _ in rows if event == "train"] == list(range(1, 9))
    assert [step for step, event, _ in rows if event == "eval"] == [4, 8]
    assert all(row["loss"] == row["task/ce"] for _, event, row in rows if event == "train")
    shown = capsys.readouterr()
    assert shown.out == "" and "device: cpu" in shown.err and "validation mIoU" in shown.err


def test_training_learns(streets: Path, tmp_path: Path) -> None:
    """Two pictures, always cut alike, are soon known by heart."""
    whole = ["augment.crop=[64, 128]", "augment.scale=[1, 1]", "augment.flip=0", "augment.photometric=false"]
    two = [f"data.train='cityscapes:{streets},frames=:2'", "train.batch=2", "train.lr=0.02"]
    fit(recipe_of(streets, *whole, *two, "train.iters=25", "eval.every=25"), tmp_path / "run", device="cpu")
    trained = [row["loss"] for _, event, row in losses(tmp_path / "run") if event == "train"]
    assert sum(trained[-5:]) < 0.4 * sum(trained[:5])


def test_best_weights_are_kept(streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of two validations is made the better one."""
    real, seen = validation.scores, []

    def scores(counts: Any, absent: str) -> Any:
        result = real(counts)
        seen.append(result)
        return type(result)(0.9 if len(seen) == 1 else 0.1, result.macc, result.aacc, result.iou, result.acc)

    monkeypatch.setattr(validation, "scores", scores)
    record = fit(recipe_of(streets), tmp_path / "run", device="cpu")
    assert record["best"] == {"step": 4, "miou": 0.9} and record["last"] == {"step": 8, "miou": 0.1}
    assert record["eval"]["miou"] == pytest.approx(seen[0].miou, abs=1e-12)
    final = load_checkpoint(tmp_path / "run" / "last.ckpt")["model"]
    assert not same(dict(final), weights(tmp_path / "run"))


def test_the_same_seed_gives_the_same_run(streets: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        fit(recipe_of(streets, "train.iters=4"), tmp_path / name, device="cpu")
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_distillation_leaves_the_teacher_alone(streets: Path, tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets)
    before = weights(teacher)
    recipe = recipe_of(streets, "train.iters=4", f"teacher.model={teacher}", "methods=[cwd, {kd: {weight: 0.5}}]")
    record = fit(recipe, tmp_path / "run", device="cpu")
    assert record["kind"] == "distill" and record["teacher"] == str(teacher)
    assert same(weights(teacher), before)
    rows = [row for _, event, row in losses(tmp_path / "run") if event == "train"]
    assert set(rows[0]) == {"loss", "lr", "task/ce", "balance/cwd", "cwd/logits", "kd/logits"}
    assert set(weights(tmp_path / "run")) == set(load_run(tmp_path / "run").model.state_dict())


def test_mixed_batches_train(streets: Path, tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets)
    recipe = recipe_of(
        streets,
        "train.iters=4",
        f"data.train='cityscapes:{streets},frames=:6'",
        f"data.unlabelled='cityscapes:{streets},frames=6:'",
        f"teacher.model={teacher}",
        "methods=[cwd]",
    )
    record = fit(recipe, tmp_path / "run", device="cpu")
    assert set(record["data"]["fingerprints"]) == {"train", "val", "unlabelled"}
    assert record["data"]["val"] == f"cityscapes:{streets}"


def test_hooks_groups_and_the_adversary(streets: Path, tmp_path: Path, recorder: type[Recorder]) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets)
    recipe = recipe_of(streets, "train.iters=7", f"teacher.model={teacher}", "methods=[recorder]", "train.accumulate=2")
    fit(recipe, tmp_path / "run", device="cpu", save_every=6)
    assert recorder.diary == [(word, step) for step in range(7) for word in ("before", "after")]
    state = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert not torch.equal(state["method"]["methods.recorder.adapter"], torch.ones(19))  # awake in the last step
    adversary = state["adversary_optimizer"]["recorder"]["state"]
    assert {int(entry["step"]) for entry in adversary.values()} == {7}


def test_a_sleeping_group_does_not_move(streets: Path, tmp_path: Path, recorder: type[Recorder]) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets)
    recipe = recipe_of(streets, "train.iters=6", f"teacher.model={teacher}", "methods=[recorder]")
    fit(recipe, tmp_path / "run", device="cpu")
    state = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert torch.equal(state["method"]["methods.recorder.adapter"], torch.ones(19))


def test_accumulation_sees_the_same_images_in_fewer_steps(streets: Path, tmp_path: Path) -> None:
    """Two batches of 2 per step; with nothing random but the order, they hold the images of one batch of 4."""
    halves = recipe_of(streets, "train.iters=2", "train.batch=2", "train.accumulate=2")
    fit(halves, tmp_path / "halves", device="cpu")
    assert load_checkpoint(tmp_path / "halves" / "last.ckpt")["step"] == 2
    cpu = torch.device("cpu")
    pairs = assemble(resolve_recipe(halves), cpu).source
    fours = assemble(resolve_recipe(recipe_of(streets)), cpu).source
    assert pairs[0].ids + pairs[1].ids == fours[0].ids and pairs[2].ids + pairs[3].ids == fours[1].ids


def test_accumulated_gradients_are_the_mean_of_the_batches(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of every batch is replaced by a known function of one weight: the gradients are 1 and 3."""
    slopes = iter([1.0, 3.0])

    def forward(self: DistillStep, images: Tensor, masks: Tensor, ctx: StepContext) -> dict[str, Tensor]:
        return {"task/ce": next(slopes) * self.student.decode_head.conv_seg.bias.sum()}

    monkeypatch.setattr(DistillStep, "forward", forward)
    sgd = "train.optimizer={sgd: {momentum: 0.0}}"
    schedule = "train.schedule={poly: {power: 1.0, min_lr: 0.5}}"
    changes = ["train.iters=1", "train.accumulate=2", "train.lr=0.5", "train.weight_decay=0", sgd, schedule]
    recipe = recipe_of(streets, *changes)
    before = assemble(resolve_recipe(recipe), torch.device("cpu")).student.decode_head.conv_seg.bias.detach().clone()
    fit(recipe, tmp_path / "run", device="cpu")
    torch.testing.assert_close(weights(tmp_path / "run")["decode_head.conv_seg.bias"], before - 0.5 * 2.0)


def test_bf16_trains(streets: Path, tmp_path: Path) -> None:
    fit(recipe_of(streets, "train.iters=3", "train.amp=bf16"), tmp_path / "run", device="cpu")
    rows = [row for _, event, row in losses(tmp_path / "run") if event == "train"]
    plain = tmp_path / "plain"
    fit(recipe_of(streets, "train.iters=3"), plain, device="cpu")
    exact = [row for _, event, row in losses(plain) if event == "train"]
    assert rows[0]["loss"] != exact[0]["loss"] and rows[0]["loss"] == pytest.approx(exact[0]["loss"], rel=0.05)
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(tmp_path / "run").values())


def test_a_loss_that_is_not_finite_stops_the_run(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: type[Recorder]
) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets)
    forward = recorder.forward

    def diverge(self: Recorder, *args: Any) -> dict[str, Tensor]:
        terms = forward(self, *args)
        return {**terms, "fool": terms["fool"] / 0} if args[3].step == 5 else terms

    monkeypatch.setattr(recorder, "forward", diverge)
    recipe = recipe_of(streets, f"teacher.model={teacher}", "methods=[recorder]")
    with pytest.raises(SegkdError, match=r"step 5: recorder/fool is -?inf; .*last\.ckpt"):
        fit(recipe, tmp_path / "run", device="cpu", save_every=4)
    state = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert state["step"] == 4 and not (tmp_path / "run" / "run.json").exists()


def test_weights_that_are_not_finite_are_not_saved(streets: Path, tmp_path: Path) -> None:
    recipe = recipe_of(streets, "train.optimizer=sgd", "train.lr=1e30", "train.iters=5", "eval.every=1")
    with pytest.raises(SegkdError, match=r"not finite|is nan|is inf"):
        fit(recipe, tmp_path / "run", device="cpu")
    state = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())


def test_bad_recipes_leave_no_folder(streets: Path, tmp_path: Path) -> None:
    with pytest.raises(SegkdError):
        fit(recipe_of(streets, "student.model=nothing"), tmp_path / "run", device="cpu")
    with pytest.raises(SegkdError):
        fit(recipe_of(streets, "train.optimizer=adam"), tmp_path / "run", device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_first_step_that_fails_leaves_no_folder(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corrected command can use the same --out; what lay there before stays."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "StepContext", fails)
        for run in (tmp_path / "new" / "run", tmp_path / "mine"):
            with pytest.raises(RuntimeError, match="out of memory"):
                fit(recipe_of(streets), run, device="cpu")
    assert not (tmp_path / "new").exists() and [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert fit(recipe_of(streets, "train.iters=1"), tmp_path / "mine", device="cpu")["finished"]


def test_another_run_is_not_overwritten(streets: Path, tmp_path: Path) -> None:
    fit(recipe_of(streets, "train.iters=1"), tmp_path / "run", device="cpu")
    with pytest.raises(SegkdError, match="already holds a run"):
        fit(recipe_of(streets, "train.iters=1"), tmp_path / "run", device="cpu")
