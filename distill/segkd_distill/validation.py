"""Validation while a run is on: which weights are the best so far, and when to stop looking for better ones."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path

import torch
from torch import Tensor

from segkd.data.remarks import absent_classes
from segkd.errors import SegkdError
from segkd.evaluation import NotFiniteError
from segkd.metrics import Scores, scores
from segkd.recipe import Recipe
from segkd_distill.assemble import Assembly
from segkd_distill.inference.evaluate import evaluate, validation_rules
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.run.changes import rules_of_validation
from segkd_distill.run.metrics_log import MetricsLog, diverged
from segkd_distill.run.progress import ProgressReport
from segkd_distill.run.run_folder import Position, save_run


def validate(parts: Assembly, position: Position, run: Path, log: MetricsLog, report: ProgressReport) -> None:
    """Score the student on the validation set, keep its weights if they are the best so far, and save."""
    began, first = time.perf_counter(), position.last is None
    what = f"validation after step {position.step}"
    student, (result, counts) = parts.student, _score(parts, parts.student, what)
    if parts.average is not None:
        averaged, averaged_counts = _score(parts, parts.average.network, what)
        if _comparable(averaged) > _comparable(result):
            student, result, counts = parts.average.network, averaged, averaged_counts
    miou = _comparable(result)

    labelled = not math.isnan(result.miou)
    # Where nothing can tell which weights are best, the latest are kept.
    improved = position.best is None or not labelled or miou > position.best["miou"]
    if improved:
        save_model(run, student, parts.config, parts.labels, parts.imgsz)
        weights = {name: tensor.detach().cpu().clone() for name, tensor in student.state_dict().items()}
        position.best = {
            "step": position.step,
            "miou": miou,
            "counts": counts,
            "weights": weights,
            "rules": rules_of_validation(parts.recipe),
            "averaged": student is not parts.student,
        }
        position.waited = 0
    else:
        position.waited += 1
    position.last = {"step": position.step, "miou": miou}

    values = {"miou": result.miou, "macc": result.macc, "aacc": result.aacc, "best": improved}
    if parts.average is not None:
        values["averaged"] = student is not parts.student
    log.write(position.step, "eval", {**values, "seconds": time.perf_counter() - began})
    note = "" if labelled else ": no validation pixel has a class, so the latest weights are kept"
    note = " (best so far)" if improved and labelled else note
    note += ", of the averaged weights" if student is not parts.student else ""
    absent = absent_classes(parts.labels.names, counts.sum(1).cpu().numpy())
    if first and absent and labelled:
        report.say(f"note: {absent} in the validation set: mIoU leaves these out, or counts them as 0")
    report.say(f"step {position.step}/{parts.recipe.train.iters}: validation mIoU {100 * result.miou:.2f}{note}")
    save_run(parts, position, run)


def score_best_again(parts: Assembly, position: Position, run: Path, report: ProgressReport) -> None:
    """Where a run is resumed with other rules of validation, measure the best weights so far by the new ones."""
    best = position.best
    if best is None or best["rules"] == rules_of_validation(parts.recipe):
        return
    student = copy.deepcopy(parts.student)
    student.load_state_dict(best["weights"])
    result, counts = _score(parts, student, f"validation of step {best['step']}")
    position.best = {**best, "miou": _comparable(result), "counts": counts, "rules": rules_of_validation(parts.recipe)}
    report.say(f"step {best['step']}: by the new rules of validation mIoU {100 * result.miou:.2f} (best so far)")
    save_run(parts, position, run)


def _score(parts: Assembly, student: Segmenter, what: str) -> tuple[Scores, Tensor]:
    """Scores and confusion counts on the validation set."""
    inference, protocol = validation_rules(parts.recipe)
    try:
        counts = evaluate(student, parts.val, parts.fabric.device, inference=inference, protocol=protocol).counts
    except SegkdError as error:
        if isinstance(error.__cause__, NotFiniteError):
            raise diverged(f"the network's outputs in the {what} are") from error
        raise
    return scores(counts, protocol.absent), torch.from_numpy(counts)


def _comparable(result: Scores) -> float:
    """The mIoU, -1 where no validation pixel has a class."""
    return -1.0 if math.isnan(result.miou) else result.miou


def validates(done: int, every: int, iters: int) -> bool:
    """Whether a validation follows the step that was just done."""
    return done > 0 and (done % every == 0 or done == iters)


def out_of_patience(recipe: Recipe, position: Position, report: ProgressReport) -> bool:
    """Whether ``eval.patience`` validations in a row brought nothing better, so that the run ends early."""
    if recipe.eval.patience is None or position.waited < recipe.eval.patience:
        return False
    report.say(f"stopped after step {position.step}: {position.waited} validations without a better one")
    return True
