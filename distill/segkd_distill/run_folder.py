"""The run folder while a run is on: begin, checkpoint, resume, finish."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.evaluation import protocol_of
from segkd.files import write_atomic, write_json
from segkd.metrics import scores
from segkd.published import published_numbers
from segkd.recipe import Recipe, dump_recipe, load_recipe
from segkd_distill.assemble import Assembly
from segkd_distill.checkpoint import load_checkpoint, random_state, save_checkpoint, set_random_state
from segkd_distill.device import describe_device
from segkd_distill.metrics_log import TermMeans
from segkd_distill.provenance import git_state, versions
from segkd_distill.runs import WEIGHTS

CHECKPOINT, RECIPE, RECORD = "last.ckpt", "recipe.yaml", "run.json"
SCHEMA = 1


@dataclass
class Position:
    """Where a run is.

    Attributes:
        step: optimiser steps that are done.
        train_s: seconds spent on them.
        earlier_s: seconds of everything in earlier sessions of the run.
        began: ``time.perf_counter()`` at the beginning of this session.
        best: step, mIoU and confusion counts (a tensor) of the best validation so far.
        last: step and mIoU of the latest validation.
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
    if not resume:
        if any((run / name).exists() for name in (CHECKPOINT, RECORD, WEIGHTS)):
            raise SegkdError(f"{run} already holds a run: continue it with --resume, or name another folder with --out")
        return
    if not (run / RECIPE).exists():
        raise SegkdError(f"{run} holds no run to resume: there is no {RECIPE}")
    differences = recipe_differences(load_recipe(run / RECIPE), recipe)
    if differences:
        raise SegkdError(
            f"{run} was begun with other settings: {'; '.join(differences)}; leave them out to resume it, "
            "or begin a new run with --out"
        )


def recipe_differences(there: Recipe, here: Recipe) -> list[str]:
    """The keys in which two recipes differ, with both values."""
    old, new = (dict(_keys(recipe)) for recipe in (there, here))
    return [f"{key} is {old[key]!r} there, {new[key]!r} here" for key in old if old[key] != new[key]]


def _keys(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    for section, values in recipe.model_dump(mode="json").items():
        if isinstance(values, dict) and section != "gates":
            named = {f"{section}.{key}": value for key, value in values.items()}
            named.pop("data.cache", None)  # where the decoded copy lies changes no number
            yield from named.items()
        else:
            yield section, values


@contextmanager
def leave_no_trace(run: Path, position: Position) -> Iterator[None]:
    """If what is inside fails before the first step is done, take away what it put into the run folder.

    A folder with a run refuses a new one; the corrected command should not have to name another. Failures are what
    another command can avoid: a user's error, torch's own (as a lack of memory). After anything else the folder stays
    and can be resumed.
    """
    made = next((folder for folder in reversed((run, *run.parents)) if not folder.exists()), None)
    before = set(run.iterdir()) if run.is_dir() else set()
    try:
        yield
    except (SegkdError, RuntimeError, MemoryError):
        if position.step == 0:
            for path in set(run.iterdir() if run.is_dir() else ()) - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if made is not None and run.is_dir():
                _remove_empty(run, made)
        raise


def _remove_empty(folder: Path, last: Path) -> None:
    """Remove a folder and those around it, up to ``last``, as far as they are empty."""
    while not any(folder.iterdir()):
        folder.rmdir()
        if folder == last:
            return
        folder = folder.parent


def begin_run(parts: Assembly, position: Position, run: Path) -> None:
    """Make the run folder, with the recipe and a checkpoint of step 0."""
    run.mkdir(parents=True, exist_ok=True)
    write_atomic(run / RECIPE, dump_recipe(parts.recipe))
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
        "means": position.means.state_dict(),
        "skipped": position.skipped,
        "skipped_samples": position.skipped_samples,
        "random": random_state(parts.fabric.device),
        "fingerprints": parts.fingerprints,
    }
    save_checkpoint(run / CHECKPOINT, state)


def restore_run(parts: Assembly, position: Position, run: Path) -> None:
    """Bring everything to where ``last.ckpt`` left it.

    Raises:
        SegkdError: if the checkpoint cannot be read, or the data have changed.
    """
    state = load_checkpoint(run / CHECKPOINT)
    for key, fingerprint in state["fingerprints"].items():
        if parts.fingerprints.get(key) != fingerprint:
            raise SegkdError(f"data.{key} is not what it was when the run began: bring it back, or begin a new run")
    parts.load_state_dict(state)
    position.step, position.train_s, position.earlier_s = state["step"], state["train_s"], state["total_s"]
    position.best, position.last = state["best"], state["last"]
    position.skipped, position.skipped_samples = state.get("skipped", {}), state.get("skipped_samples", 0)
    position.means.load_state_dict(state["means"])
    set_random_state(state["random"], parts.fabric.device)
    print(f"resumed after step {position.step} of {parts.recipe.train.iters}", file=sys.stderr)


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
        "last": position.last,
        "eval": best.to_dict(parts.labels.names),
        "skipped": {"samples": position.skipped_samples, "files": position.skipped},
        "published": published_numbers(recipe),
        "versions": versions(),
        "git": git_state(),
    }
    write_json(run / RECORD, record)
    return record
