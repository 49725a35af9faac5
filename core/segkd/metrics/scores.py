"""From counts to numbers: the only place where a confusion matrix becomes IoU and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError


@dataclass(frozen=True)
class Scores:
    """Quality of a whole set, each number in 0..1 or nan where it is not defined.

    Attributes:
        miou: mean of ``iou`` over the classes that have one.
        macc: mean of ``acc`` over the classes that have one.
        aacc: correct pixels / scored pixels.
        iou: per class, intersection / union.
        acc: per class, recall: correct pixels / pixels of the class.
    """

    miou: float
    macc: float
    aacc: float
    iou: list[float]
    acc: list[float]

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """For JSON: ``miou macc aacc per_class per_class_acc``, the last two by class name; nan becomes None.

        Raises:
            SegkdError: if there are more or fewer names than classes.
        """
        if len(names) != len(self.iou):
            raise SegkdError(f"{len(names)} class names for the scores of {len(self.iou)} classes")
        return {
            "miou": _none_if_nan(self.miou),
            "macc": _none_if_nan(self.macc),
            "aacc": _none_if_nan(self.aacc),
            "per_class": {name: _none_if_nan(value) for name, value in zip(names, self.iou, strict=True)},
            "per_class_acc": {name: _none_if_nan(value) for name, value in zip(names, self.acc, strict=True)},
        }


def scores(counts: NDArray[np.int64]) -> Scores:
    """Scores as mmsegmentation defines them (``IoUMetric``, 1.2.2).

    A class that is neither in the labels nor predicted has IoU and accuracy nan and is skipped by the means; one that
    is predicted but not in the labels has IoU 0, which counts, and accuracy nan.

    Differs from the original: sums are int64 instead of float32.

    Args:
        counts: (K, K + 1) as in :class:`segkd.metrics.ConfusionMatrix`.

    Raises:
        SegkdError: if the shape is another.
    """
    if counts.ndim != 2 or counts.shape[1] != counts.shape[0] + 1:
        raise SegkdError(
            f"counts have shape {counts.shape}, expected (K, K + 1): one last column for other predictions"
        )
    hits = np.diagonal(counts)
    labelled = counts.sum(axis=1)
    predicted = counts[:, :-1].sum(axis=0)
    iou = _ratios(hits, labelled + predicted - hits)
    acc = _ratios(hits, labelled)
    (aacc,) = _ratios(hits.sum(keepdims=True), labelled.sum(keepdims=True))
    return Scores(_mean(iou), _mean(acc), aacc, iou, acc)


def _ratios(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> list[float]:
    return [int(part) / int(whole) if whole else math.nan for part, whole in zip(parts, wholes, strict=True)]


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
