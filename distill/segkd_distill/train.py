"""Training and distillation: the loop, readable from top to bottom."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkd.data.base import IGNORE
from segkd.folders import RunFiles
from segkd.recipe import Recipe, load_recipe
from segkd_distill.assemble import Assembly, assemble, resolve_recipe
from segkd_distill.data.blur import blur, draw_blur
from segkd_distill.data.loader import Batch, batches
from segkd_distill.data.photometric import distort, draw_distortion
from segkd_distill.data.seeding import Stream, generator
from segkd_distill.device import choose_device, describe_device, loss_scale
from segkd_distill.inference.evaluate import validation_rules
from segkd_distill.methods.base import Group, StepContext
from segkd_distill.optim import limit_gradients, set_learning_rate
from segkd_distill.run.changes import follow_moved_data, require_places
from segkd_distill.run.earlier import as_begun
from segkd_distill.run.interrupt import Interrupted, StopRequest
from segkd_distill.run.lock import owned
from segkd_distill.run.metrics_log import MetricsLog
from segkd_distill.run.progress import ProgressReport
from segkd_distill.run.run_folder import (
    Position,
    begin_run,
    check_folder,
    finish_run,
    finished_record,
    leave_no_trace,
    restore_run,
    save_run,
)
from segkd_distill.validation import out_of_patience, score_best_again, validate, validates

SAVE_EVERY_S = 60.0
"""Without ``save_every``, a checkpoint is at most about this old."""


def fit(
    recipe: Recipe,
    run: Path,
    *,
    device: str = "auto",
    workers: int = 0,
    resume: bool = False,
    save_every: int | None = None,
) -> dict[str, Any]:
    """Train a student, with a teacher if the recipe has one.

    The run folder gets ``recipe.yaml``, ``student.safetensors`` and ``model.json`` (the weights with the best
    validation mIoU), ``last.ckpt``, ``metrics.jsonl``, ``tensorboard/`` and, at the end, ``run.json``. A run that fails
    before its first step is done leaves nothing in the folder. A resumed run
    ends with the same weights as one that was never stopped (bit for bit on a CPU with the same number of threads).

    Args:
        recipe: what to do.
        run: the run folder.
        device: auto, cpu, cuda or cuda:N.
        workers: loading processes; they change nothing but the speed.
        resume: continue the run in the folder.
        save_every: steps between checkpoints; by default about 60 seconds, and always after a validation.

    Returns:
        The content of ``run.json``.

    Raises:
        SegkdError: if something in the recipe is wrong, the folder holds another run or belongs to another process,
            or the loss is not finite.
        Interrupted: after SIGINT or SIGTERM, once the run is saved.
    """
    if resume and (run / RunFiles.RECIPE).exists():
        recipe = as_begun(follow_moved_data(recipe, load_recipe(run / RunFiles.RECIPE)), run)
    recipe = resolve_recipe(recipe)
    validation_rules(recipe)  # what is wrong in them stops the run here
    if resume:
        check_folder(run, recipe, resume=True)
        record = finished_record(run, recipe)
        if record is not None:
            print(f"{run} is complete, all {recipe.train.iters} steps are done: nothing to resume", file=sys.stderr)
            return record
        require_places(recipe, run)
    with owned(run):
        # Looked at again now that nobody else can change it.
        check_folder(run, recipe, resume=resume)
        return _fit_in(run, recipe, device=device, workers=workers, resume=resume, save_every=save_every)


def _fit_in(
    run: Path, recipe: Recipe, *, device: str, workers: int, resume: bool, save_every: int | None
) -> dict[str, Any]:
    """Train in a folder that belongs to this process, with a recipe that was checked."""
    position = Position()
    chosen = choose_device(device)
    print(f"device: {describe_device(chosen)}", file=sys.stderr)
    parts = assemble(recipe, chosen, workers)
    with StopRequest() as stop, nullcontext() if resume else leave_no_trace(run, position):
        if resume:
            restore_run(parts, position, run)
        else:
            begin_run(parts, position, run)
        train_steps(parts, position, run, workers=workers, save_every=save_every, stop=stop)
    return finish_run(parts, position, run)


def train_steps(
    parts: Assembly, position: Position, run: Path, *, workers: int, save_every: int | None, stop: StopRequest
) -> None:
    """The loop: from ``position`` to the last step, with validation, logs and checkpoints."""
    train, method, fabric = parts.recipe.train, parts.method, parts.fabric
    eval_every = parts.recipe.eval.every or max(1, train.iters // 10)
    log_every = min(50, max(1, train.iters // 50))
    groups = method.parameter_groups() if method is not None else []
    first, last = position.step * train.accumulate, train.iters * train.accumulate
    stream = batches(parts.source, start=first, stop=last, workers=workers, pin_memory=fabric.device.type == "cuda")
    images_per_step = train.batch * train.accumulate
    report = ProgressReport("train", train.iters, start=position.step, images_per_step=images_per_step)
    saved_at = time.monotonic()
    parts.step.train()
    validated = position.step == (position.last["step"] if position.last is not None else 0)
    with closing(stream), MetricsLog(run, position.step, validated=validated) as log, report:
        score_best_again(parts, position, run, report)
        if not validated and validates(position.step, eval_every, train.iters):
            validate(parts, position, run, log, report)  # the run ended in the validation of its last step
        for step in range(position.step, train.iters):
            if out_of_patience(parts.recipe, position, report):
                break
            step_began = time.perf_counter()
            lr = parts.schedule(step)
            set_learning_rate(parts.optimizer, parts.schedule, step)

            # Forward and backward, over one batch or several.
            for number in range(train.accumulate):
                batch = next(stream)
                position.skip(batch.skipped)
                images, masks, ctx = _to_device(parts, batch, step, number)
                if method is not None and number == 0:
                    method.before_step(ctx)
                terms = _terms(parts, images, masks, ctx)
                position.means.add(terms, step)  # ends the run here if a term is not finite; waits for the device
                fabric.backward(torch.stack(list(terms.values())).sum() / train.accumulate)

            _update(parts, groups, step)
            if method is not None:
                method.after_step(ctx)

            # Bookkeeping.
            position.step = done = step + 1
            position.train_s += time.perf_counter() - step_began
            report.advance(done)
            if done % log_every == 0 or done == train.iters:
                means = position.means.take()
                report.note = f"loss {means['loss']:.4g}"
                speed = {"lr": lr, "img_per_s": report.images_per_s, "eta_s": report.eta_s}
                log.write(done, "train", {**means, **_teaching(parts), **speed})
            due = validates(done, eval_every, train.iters)
            waited = done % save_every == 0 if save_every else time.monotonic() - saved_at > SAVE_EVERY_S
            if due or waited or stop.signal_number is not None:
                save_run(parts, position, run)  # before the validation, so that a failure there loses nothing
                if due:
                    validate(parts, position, run, log, report)
                saved_at = time.monotonic()
                report.pause()
            if stop.signal_number is not None and done < train.iters:
                raise Interrupted(_how_to_resume(parts, done, run, stop.signal_number), stop.signal_number)


def _to_device(parts: Assembly, batch: Batch, step: int, number: int) -> tuple[Tensor, Tensor, StepContext]:
    """A batch on the device, its colours distorted, with the context of its step."""
    train, device = parts.recipe.train, parts.fabric.device
    images = batch.images.to(device, non_blocking=True)
    masks = batch.masks.to(device, non_blocking=True)
    if parts.recipe.augment.photometric:
        rng = generator(train.seed, Stream.COLOUR, step, number)
        images = distort(images, draw_distortion(rng, len(images)))
    if parts.recipe.augment.blur:
        rng = generator(train.seed, Stream.BLUR, step, number)
        images = blur(images, draw_blur(rng, len(images), parts.recipe.augment.blur))
    ctx = StepContext(
        step=step,
        total_steps=train.iters,
        epoch=parts.source.epoch(step * train.accumulate + number),
        ignore_index=IGNORE,
        labelled=batch.labelled.to(device, non_blocking=True),
    )
    return images, masks, ctx


def _update(parts: Assembly, groups: list[Group], step: int) -> None:
    """Update the student and what its method trains beside it."""
    if any(group.max_norm is not None for group in groups):
        parts.fabric.strategy.precision.unscale_gradients(parts.optimizer.optimizer)
    limit_gradients(groups, step)
    parts.optimizer.step()
    parts.optimizer.zero_grad(set_to_none=True)
    if parts.adversary_optimizer is not None:
        _train_adversary(parts)
    if parts.average is not None:
        parts.average.update(parts.student)


def _terms(parts: Assembly, images: Tensor, masks: Tensor, ctx: StepContext) -> dict[str, Tensor]:
    """Every term of the loss as it is minimised: balanced methods under their factors."""
    terms: dict[str, Tensor] = parts.step(images, masks, ctx)
    if parts.balance is None:
        return terms
    return parts.balance(terms, ctx.step, loss_scale=loss_scale(parts.fabric))


def _teaching(parts: Assembly) -> dict[str, float]:
    """For the log: ``balance/NAME``, the factors of balanced methods, and the share of pixels with a pseudo-label."""
    factors = parts.balance.factors() if parts.balance is not None else {}
    values = {f"balance/{name}": factor for name, factor in factors.items()}
    share = parts.step.module.pseudo_share
    return values if share is None else {**values, "pseudo_share": float(share)}


def _train_adversary(parts: Assembly) -> None:
    """One step of the adversary on the logits of the student's last forward pass."""
    logits = parts.step.module.logits
    if parts.method is None or logits is None:
        return
    with parts.fabric.autocast():
        terms = parts.method.adversary(*logits)
    if not terms:
        return
    parts.adversary_optimizer.zero_grad(set_to_none=True)  # the student's loss left gradients there
    parts.fabric.backward(torch.stack(list(terms.values())).sum())
    parts.adversary_optimizer.step()
    parts.adversary_optimizer.zero_grad(set_to_none=True)


def _how_to_resume(parts: Assembly, done: int, run: Path, signal_number: int) -> str:
    command = "train" if parts.method is None else "distill"
    return (
        f"stopped by {signal.Signals(signal_number).name} after step {done} of {parts.recipe.train.iters}, saved; "
        f"continue with: segkd {command} --resume {run}"
    )
