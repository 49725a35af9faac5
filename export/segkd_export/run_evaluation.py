"""The run's own evaluation, which an artifact brings along so that what the graphs reach can be compared with it."""

from __future__ import annotations

import math
from pathlib import Path

from segkd.files.small_files import read_json
from segkd.folders import RunFiles
from segkd.manifest import Evaluation
from segkd.recipe import Recipe


def run_evaluation(run: Path, recipe: Recipe) -> Evaluation | None:
    """The mIoU in ``run.json``; None where there is none, as for an imported network or a run that was interrupted.

    Args:
        run: a run folder.
        recipe: the run's.
    """
    if not (run / RunFiles.RECORD).is_file():
        return None
    record = read_json(run / RunFiles.RECORD)
    try:
        miou, fingerprint = float(record["eval"]["miou"]), str(record["data"]["fingerprints"]["val"])
    except (KeyError, TypeError, ValueError):
        return None
    if not 0 <= miou <= 1 or not math.isfinite(miou):
        return None
    return Evaluation(
        miou=miou, fingerprint=fingerprint, protocol=f"{recipe.eval.protocol or 'full'}, {recipe.eval.mode}"
    )
