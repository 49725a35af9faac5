"""The run folder while a run is on: begin, checkpoint, resume, finish."""

from __future__ import annotations

import copy
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd.evaluation import protocol_of
from segkd.files import read_json, write_atomic, write_json
from segkd.folders import RunFiles
from segkd.metrics import scores
from segkd.recipe import Recipe, dump_recipe, load_recipe
from segkd.recipe.published import published_numbers
from segkd_distill.assemble import Assembly
from segkd_distill.device import describe_device
from segkd_distill.models.saved_model import load_run, save_model
from segkd_distill.run.changes import require_same_run
from segkd_distill.run.earlier import as_begun, completed_state
from segkd_distill.run.metrics_log import TermMeans
from segkd_distill.run.provenance import git_state, versions
from segkd_distill.run.resume import (
    predecessor,
    random_state,
    recover_checkpoint,
    save_checkpoint,
    set_random_state,
)

SCHEMA = 1


@dataclass
class Position:
    """Where a run is.

    Attributes:
        step: optimiser steps that are done.
        train_s: seconds spent on them.
        earlier_s: seconds of everything in earlier sessions of the run.
        began: ``time.perf_counter()`` at the beginning of this session.
        best: step, mIoU, confusion counts (a tensor) and weights of the best validation so far.
        last: step and mIoU of the latest validation.
        waited: validations since the best one.
        means: terms of the loss since the last log.
        skipped: training files that could not be read -> what is wrong with them.
        skipped_samples: samples that others stood in for.
    """

    step: int = 0
    train_s: float = 0.0
    earlier_s: float = 0.0
    began: float = field(default_factory=time.perf_counter)
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    waited: int = 0
    means: TermMeans = field(default_factory=TermMeans)
    skipped: dict[str, str] = field(default_factory=dict)
    skipped_samples: int = 0

    def skip(self, samples: Sequence[tuple[str, str]]) -> None:
        """Count samples that were passed over, and name each file once."""
        for path, what in samples:
            if path not in self.skipped:
                print(f"skipped: {path}: {what}", file=sys.stderr)
            self.skipped[path] = what
        self.skipped_samples += len(samples)

    @property
    def total_s(self) -> float:
        """Seconds of everything: loading, training, validation."""
        return self.earlier_s + time.perf_counter() - self.began


def check_folder(run: Path, recipe: Recipe, *, resume: bool) -> None:
    """A new run needs a folder without one; a resumed run needs its own recipe.

    Raises:
        SegkdError: if that is not so, naming the keys that differ.
    """
    if resume:
        if not (run / RunFiles.RECIPE).exists():
            raise SegkdError(f"{run} holds no run to resume: there is no {RunFiles.RECIPE}")
        require_same_run(run, as_begun(load_recipe(run / RunFiles.RECIPE), run), recipe)
        return
    checkpoints = (RunFiles.CHECKPOINT, predecessor(run / RunFiles.CHECKPOINT).name)
    if not any((run / name).exists() for name in (*checkpoints, RunFiles.RECORD, RunFiles.WEIGHTS)):
        return
    if (run / RunFiles.RECIPE).exists() and any((run / name).exists() for name in checkpoints):
        raise SegkdError(f"{run} already holds a run: continue it with --resume, or name another folder with --out")
    raise SegkdError(
        f"{run} already holds a run, without the {RunFiles.CHECKPOINT} that could continue it: "
        "name another folder with --out"
        + (f" (--init-from {run} begins with its weights)" if _weights_are_whole(run) else "")
    )


def finished_record(run: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The record of a run that is complete with its weights; None for one that has something to do."""
    if not (run / RunFiles.RECORD).exists():
        return None
    record = read_json(run / RunFiles.RECORD)
    whole = isinstance(record, dict) and record.get("finished") is True and record.get("iters") == recipe.train.iters
    return record if whole and _weights_are_whole(run) else None


def _weights_are_whole(run: Path) -> bool:
    try:
        load_run(run)
    except SegkdError:
        return False
    return True


@contextmanager
def leave_no_trace(run: Path, position: Position) -> Iterator[None]:
    """If what is inside fails before the first step is done, take away what it put into the run folder.

    A folder with a run refuses a new one; the corrected command should not have to name another. Failures are what
    another command can avoid: a user's error, torch's own (as a lack of memory), a full disk. After anything else the
    folder stays and can be resumed.
    """
    before = set(run.iterdir()) if run.is_dir() else set()
    try:
        yield
    except (SegkdError, RuntimeError, MemoryError, OSError):
        if position.step == 0:
            for path in set(run.iterdir() if run.is_dir() else ()) - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def begin_run(parts: Assembly, position: Position, run: Path) -> None:
    """Make the run folder, with the recipe and a checkpoint of step 0."""
    run.mkdir(parents=True, exist_ok=True)
    write_atomic(run / RunFiles.RECIPE, dump_recipe(parts.recipe))
    save_run(parts, position, run)


def save_run(parts: Assembly, position: Position, run: Path) -> None:
    """Write ``last.ckpt``.

    Raises:
        SegkdError: if a weight is not finite.
    """
    state = {
        **parts.state_dict(),
        "step": position.step,
        "train_s": position.train_s,
        "total_s": position.total_s,
        "best": position.best,
        "last": position.last,
        "waited": position.waited,
        "means": position.means.state_dict(),
        "skipped": position.skipped,
        "skipped_samples": position.skipped_samples,
        "random": random_state(parts.fabric.device),
        "fingerprints": parts.fingerprints,
        "teacher": parts.teacher_hash,
    }
    save_checkpoint(run / RunFiles.CHECKPOINT, state)


def restore_run(parts: Assembly, position: Position, run: Path) -> None:
    """Bring everything to where ``last.ckpt`` left it; the best weights are written again if they were lost.

    Raises:
        SegkdError: if no checkpoint can be read, or data or teacher are not those of the run.
    """
    try:
        state = recover_checkpoint(run / RunFiles.CHECKPOINT)
    except SegkdError as error:
        raise SegkdError(f"{error}; {_without_checkpoint(run)}") from error
    state = completed_state(state, run, parts.teacher_hash)
    _require_same_content(parts, state)
    parts.load_state_dict(state)
    position.step, position.train_s, position.earlier_s = state["step"], state["train_s"], state["total_s"]
    position.best, position.last = state["best"], state["last"]
    position.waited = state.get("waited", 0)
    position.skipped, position.skipped_samples = state.get("skipped", {}), state.get("skipped_samples", 0)
    position.means.load_state_dict(state["means"])
    if position.best is not None:
        _restore_best(parts, position.best["weights"], run)
    set_random_state(state["random"], parts.fabric.device)  # last: building a network draws numbers

    # From here on the run is that of this recipe: of its places, and of its number of steps.
    if not (run / RunFiles.RECIPE).exists() or load_recipe(run / RunFiles.RECIPE) != parts.recipe:
        write_atomic(run / RunFiles.RECIPE, dump_recipe(parts.recipe))
    if position.step < parts.recipe.train.iters:
        (run / RunFiles.RECORD).unlink(missing_ok=True)
    print(f"resumed after step {position.step} of {parts.recipe.train.iters}", file=sys.stderr)


def _require_same_content(parts: Assembly, state: dict[str, Any]) -> None:
    for key, fingerprint in state["fingerprints"].items():
        if parts.fingerprints.get(key) != fingerprint:
            raise SegkdError(f"data.{key} is not what it was when the run began: bring it back, or begin a new run")
    if state["teacher"] != parts.teacher_hash:
        raise SegkdError(
            "the teacher's weights are not those that the run began with: bring them back, or begin a new run"
        )


def _restore_best(parts: Assembly, weights: dict[str, Tensor], run: Path) -> None:
    """Write the best weights, unless they are there already."""
    try:
        there = load_run(run).model.state_dict()
    except SegkdError as error:
        print(f"{error}; {RunFiles.WEIGHTS} is written again, from {RunFiles.CHECKPOINT}", file=sys.stderr)
    else:
        if there.keys() == weights.keys() and all(torch.equal(there[name], weights[name]) for name in there):
            return
    best = copy.deepcopy(parts.student)
    best.load_state_dict(weights)
    save_model(run, best, parts.config, parts.labels, parts.imgsz)


def _without_checkpoint(run: Path) -> str:
    """What to do with a run whose checkpoints are lost."""
    if _weights_are_whole(run):
        return (
            f"the run cannot go on, but its best weights ({RunFiles.WEIGHTS}) are whole: "
            f"begin a new run from them with --init-from {run} and another --out"
        )
    return (
        f"the run cannot go on: begin it again with another --out (the same recipe: --recipe {run / RunFiles.RECIPE})"
    )


def finish_run(parts: Assembly, position: Position, run: Path) -> dict[str, Any]:
    """Write ``run.json`` and return it; its ``eval`` belongs to the weights in ``student.safetensors``."""
    if position.best is None or position.last is None:
        raise SegkdError(f"{run}: the run ended without a validation; resume it from an earlier checkpoint")

    recipe = parts.recipe
    best = scores(position.best["counts"].numpy(), protocol_of(recipe.eval.protocol).absent)
    record = {
        "schema": SCHEMA,
        "finished": True,
        "kind": "train" if parts.method is None else "distill",
        "model": parts.config.name,
        "teacher": recipe.teacher.model,
        "methods": recipe.methods,
        "params": sum(p.numel() for p in parts.student.parameters()),
        "iters": recipe.train.iters,
        "seed": recipe.train.seed,
        "device": describe_device(parts.fabric.device),
        "seconds": {"train": round(position.train_s, 3), "total": round(position.total_s, 3)},
        "data": {**recipe.data.model_dump(exclude_none=True), "fingerprints": parts.fingerprints},
        "weights": "best",
        "best": {"step": position.best["step"], "miou": position.best["miou"]},
        "averaged_weights": position.best.get("averaged", False),
        "stopped_early_at": position.step if position.step < recipe.train.iters else None,
        "last": position.last,
        "eval": best.to_dict(parts.labels.names),
        "skipped": {"samples": position.skipped_samples, "files": position.skipped},
        "published": published_numbers(recipe),
        "versions": versions(),
        "git": git_state(),
    }

    write_json(run / RunFiles.RECORD, record)
    predecessor(run / RunFiles.CHECKPOINT).unlink(missing_ok=True)  # weights and record are whole now
    return record
