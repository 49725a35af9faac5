"""Scores of a run folder on a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from segkd.data.base import Dataset, open_dataset
from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd.metrics import Scores, scores
from segkd.recipe import load_recipe
from segkd_distill.device import choose_device, describe_device
from segkd_distill.evaluate import evaluate
from segkd_distill.predictions import PredictionWriter
from segkd_distill.progress import ProgressReport
from segkd_distill.run_folder import RECIPE
from segkd_distill.runs import WEIGHTS, LoadedRun, load_run


def score_run(
    run: Path, spec: str | None, *, split: str = "val", device: str = "auto", save_predictions: Path | None = None
) -> tuple[dict[str, Any], Scores]:
    """Evaluate a run's ``student.safetensors``.

    Args:
        run: the run folder.
        spec: the data; None for the run's own validation data.
        split: the split of the data.
        device: auto, cpu, cuda or cuda:N.
        save_predictions: folder for predicted label maps.

    Returns:
        What ``segkd eval --json`` prints, and the scores.

    Raises:
        SegkdError: if run or data cannot be read, or their classes differ.
        BackendMissing: if the device is not there.
    """
    loaded = load_run(run)
    if spec is None:
        if not (run / RECIPE).is_file():
            raise SegkdError(f"{run} has no {RECIPE} that names its validation data: give --data NAME:PATH")
        spec = load_recipe(run / RECIPE).data.val
        if spec is None:
            raise SegkdError(f"{run / RECIPE} names no validation data: give --data NAME:PATH")
    dataset = open_dataset(spec, split=split)
    _check_classes(loaded, dataset, spec)
    chosen = choose_device(device)
    print(f"device: {describe_device(chosen)}", file=sys.stderr)
    writer = PredictionWriter(save_predictions, dataset.labels) if save_predictions is not None else None
    with ProgressReport("eval", len(dataset)) as report:
        confusion = evaluate(loaded.model, dataset, chosen, on_prediction=writer, on_progress=report.advance)
    quality = scores(confusion.counts)
    result = {
        **quality.to_dict(dataset.labels.names),
        "classes": list(dataset.labels.names),
        "data": spec,
        "fingerprint": dataset.fingerprint(),
        "images": len(dataset),
        "run": str(run),
        "weights_sha256": sha256_file(run / WEIGHTS),
    }
    return result, quality


def _check_classes(loaded: LoadedRun, dataset: Dataset, spec: str) -> None:
    theirs, ours = dataset.labels.names, loaded.label_space.names
    if theirs != ours:
        difference = next((f"{a!r} for {b!r}" for a, b in zip(theirs, ours, strict=False) if a != b), "the number")
        raise SegkdError(
            f"{spec} has {len(theirs)} classes, the run {len(ours)}, and they differ ({difference}): "
            "score a run on data with the classes that it was trained on"
        )
