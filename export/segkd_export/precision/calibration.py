"""The range of every tensor that is quantised, from one pass over calibration frames, by three rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError, import_extra

Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")
BINS = 2048
PERCENTILE = 99.99
# Levels of the positive half of a signed byte.
LEVELS = 128
# The entropy search tries a clipping threshold at every so many bins.
ENTROPY_STEP = 8

Ranges = dict[str, tuple[float, float]]


class TensorStatistics:
    """Smallest and largest value of a tensor, and a histogram of its absolute values that grows with them.

    The histogram's width is a power of two times the first one's, so that two bins become one when it doubles: no
    value is looked at twice.

    Attributes:
        smallest: of all values.
        largest: of all values.
        width: absolute value where the last bin ends.
        counts: (BINS,) int64.
    """

    def __init__(self) -> None:
        self.smallest, self.largest = np.inf, -np.inf
        self.width = 0.0
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)

    def update(self, values: NDArray[np.float32]) -> None:
        """Add values of any shape.

        Raises:
            SegkdError: if one is not finite.
        """
        smallest, largest = float(values.min()), float(values.max())
        if not (np.isfinite(smallest) and np.isfinite(largest)):
            raise SegkdError("a calibration frame gives values that are not finite; train the network again")
        self.smallest, self.largest = min(self.smallest, smallest), max(self.largest, largest)
        peak = max(-smallest, largest)
        if not self.width:
            self.width = peak
        while self.width and peak > self.width:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.width *= 2
        if not self.width:
            self.counts[0] += values.size
            return
        bins = (np.abs(values).ravel() * np.float32(BINS / self.width)).astype(np.int32)
        self.counts += np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)

    def limits(self, method: str) -> tuple[float, float]:
        """The range to quantise.

        Args:
            method: ``minmax`` takes everything, ``percentile`` 99.99 % of the absolute values, ``entropy`` what loses
                least information (see :func:`entropy_threshold`).
        """
        if method == "minmax" or not self.width:
            return self.smallest, self.largest
        bins = percentile_threshold(self.counts) if method == "percentile" else entropy_threshold(self.counts)
        threshold = bins * self.width / BINS
        return max(self.smallest, -threshold), min(self.largest, threshold)


def percentile_threshold(counts: NDArray[np.int64], percentile: float = PERCENTILE) -> int:
    """The fewest bins that hold ``percentile`` % of the counts."""
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, percentile / 100)) + 1


def entropy_threshold(counts: NDArray[np.int64], levels: int = LEVELS, step: int = ENTROPY_STEP) -> int:
    """The number of bins whose quantised distribution is nearest to the true one, by Kullback-Leibler divergence.

    For each candidate, what lies outside is counted into the last bin of the reference distribution; the quantised one
    spreads the mean of each of ``levels`` groups over the group's bins that are not empty.

    Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017, slides 38-39.

    Differs from the original: candidates are ``step`` bins apart, the first bin counts as much as the second (as in
    NVIDIA's pytorch-quantization), and empty quantised bins get 1e-9 of the mass.

    Args:
        counts: histogram of absolute values, (bins,).
        levels: quantisation levels.
        step: bins between two candidates.
    """
    best, best_divergence = len(counts), np.inf
    values = counts.astype(np.float64)
    # The first bin holds what a ReLU cut off: exact at any scale, but spread over its group it would outweigh all.
    values[0] = values[1]
    total = values.sum()
    for candidate in range(levels, len(counts) + 1, step):
        inside = values[:candidate]
        reference = inside.copy()
        reference[-1] += total - inside.sum()
        starts = np.arange(levels) * candidate // levels
        filled = inside > 0
        mass = np.add.reduceat(inside, starts)
        number = np.add.reduceat(filled.astype(np.float64), starts)
        lengths = np.diff(np.append(starts, candidate))
        quantised = np.repeat(mass / np.maximum(number, 1), lengths) * filled
        divergence = _divergence(reference, quantised)
        if divergence < best_divergence:
            best, best_divergence = candidate, divergence
    return best


def _divergence(reference: NDArray[np.float64], quantised: NDArray[np.float64]) -> float:
    p = reference / reference.sum()
    q = np.maximum(quantised / max(quantised.sum(), np.finfo(np.float64).tiny), 1e-9)
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used])).sum())


def collect_statistics(
    model: Any, tensors: Sequence[str], batches: Iterable[NDArray[np.uint8]]
) -> dict[str, TensorStatistics]:
    """Run a graph on calibration frames and look at some of its tensors.

    Args:
        model: an ``onnx.ModelProto`` in float32 that takes ``frames``.
        tensors: names of float tensors of the graph.
        batches: arrays as the graph takes them.

    Returns:
        Tensor -> what was seen of it.
    """
    from segkd_export.precision.probe import open_model

    onnx = import_extra("onnx", "export")
    watched = onnx.shape_inference.infer_shapes(model)
    infos = {info.name: info for info in (*watched.graph.value_info, *watched.graph.output)}
    watched.graph.ClearField("output")
    watched.graph.output.extend([infos[name] for name in tensors])
    session = open_model(watched)
    statistics = {name: TensorStatistics() for name in tensors}
    for batch in batches:
        for name, values in zip(tensors, session.run(list(tensors), {"frames": batch}), strict=True):
            statistics[name].update(values)
    return statistics
