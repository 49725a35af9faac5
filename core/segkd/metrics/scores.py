"""From counts to numbers: the only place where a confusion matrix becomes IoU and accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError

# What a class that is neither in the labels nor predicted does to mIoU: nothing, or it counts as 0.
Absent = Literal["skip", "zero"]


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
            "miou": none_if_nan(self.miou),
            "macc": none_if_nan(self.macc),
            "aacc": none_if_nan(self.aacc),
            "per_class": {name: none_if_nan(value) for name, value in zip(names, self.iou, strict=True)},
            "per_class_acc": {name: none_if_nan(value) for name, value in zip(names, self.acc, strict=True)},
        }


class Areas(NamedTuple):
    """Pixels per class, of a set, an image, or many of either.

    Attributes:
        hits: int64 (..., K), pixels with the same class in truth and prediction.
        labelled: int64 (..., K), pixels of the class in the truth.
        predicted: int64 (..., K), pixels of the class in the prediction where the truth is scored.
    """

    hits: NDArray[np.int64]
    labelled: NDArray[np.int64]
    predicted: NDArray[np.int64]


class Ratios(NamedTuple):
    """What :func:`ratios` makes of areas: float64, nan where not defined.

    Attributes:
        iou: (..., K).
        acc: (..., K).
        miou: (...).
        macc: (...).
        aacc: (...).
    """

    iou: NDArray[np.float64]
    acc: NDArray[np.float64]
    miou: NDArray[np.float64]
    macc: NDArray[np.float64]
    aacc: NDArray[np.float64]


def areas(counts: NDArray[np.int64]) -> Areas:
    """The areas in a confusion matrix.

    Args:
        counts: (K, K + 1) as in :class:`segkd.metrics.ConfusionMatrix`.

    Raises:
        SegkdError: if the shape is another.
    """
    if counts.ndim != 2 or counts.shape[1] != counts.shape[0] + 1:
        raise SegkdError(
            f"counts have shape {counts.shape}, expected (K, K + 1): one last column for other predictions"
        )
    return Areas(np.diagonal(counts).copy(), counts.sum(axis=1), counts[:, :-1].sum(axis=0))


def ratios(parts: Areas, absent: Absent = "skip") -> Ratios:
    """IoU, accuracy and their means; see :func:`scores` for the rules.

    Args:
        parts: areas with any leading axes; whole numbers.
        absent: what a class adds to mIoU that is neither in the labels nor predicted.
    """
    hits, labelled, predicted = parts
    iou = _divided(hits, labelled + predicted - hits)
    if absent == "zero":
        iou = np.nan_to_num(iou, nan=0.0)
    acc = _divided(hits, labelled)
    aacc = _divided(hits.sum(axis=-1), labelled.sum(axis=-1))
    return Ratios(iou, acc, mean_of_defined(iou), mean_of_defined(acc), aacc)


def scores(counts: NDArray[np.int64] | Areas, absent: Absent = "skip") -> Scores:
    """Scores as mmsegmentation defines them (``IoUMetric``, 1.2.2).

    A class that is neither in the labels nor predicted has IoU and accuracy nan and is skipped by the means; one that
    is predicted but not in the labels has IoU 0, which counts, and accuracy nan.

    Differs from the original: sums are int64 instead of float32.

    Args:
        counts: (K, K + 1) as in :class:`segkd.metrics.ConfusionMatrix`, or areas (K,).
        absent: ``skip``, or ``zero`` as CIRKD does: a class that is nowhere has IoU 0, which counts.

    Raises:
        SegkdError: if the shape is another.
    """
    found = ratios(counts if isinstance(counts, Areas) else areas(counts), absent)
    return Scores(float(found.miou), float(found.macc), float(found.aacc), found.iou.tolist(), found.acc.tolist())


def mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last axis without nan; nan where there is nothing else."""
    defined = ~np.isnan(values)
    return _divided(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def none_if_nan(value: float) -> float | None:
    """For JSON, which has no nan."""
    return None if math.isnan(value) else value


def _divided(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    parts, wholes = np.asarray(parts), np.asarray(wholes)
    quotients: NDArray[np.float64] = np.divide(parts, wholes, out=np.full(wholes.shape, math.nan), where=wholes != 0)
    return quotients
