"""How near a candidate graph is to the float32 one, on frames that no candidate was made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.metrics import ConfusionMatrix, scores
from segkd_deploy.parity.sessions import open_bytes
from segkd_export.graph.exporter_errors import foreign

OUTPUTS = ("labels", "logits")


@dataclass(frozen=True)
class Score:
    """What a candidate reaches.

    Attributes:
        agreement: share of pixels with the float32 graph's label, 0..1.
        logits_relative_l2: norm of the difference of the logits over the norm of the float32 graph's.
        drop: loss of mIoU against the float32 graph in points; None without truth.
    """

    agreement: float
    logits_relative_l2: float
    drop: float | None

    def to_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return asdict(self)

    def worse_of(self, other: Score) -> Score:
        """The worse of both in every number."""
        drops = [drop for drop in (self.drop, other.drop) if drop is not None]
        return Score(
            min(self.agreement, other.agreement),
            max(self.logits_relative_l2, other.logits_relative_l2),
            max(drops) if drops else None,
        )


def open_model(model: Any) -> Any:
    """An onnxruntime session on the CPU for an ``onnx.ModelProto``."""
    with foreign("opening a graph in onnxruntime", "use another precision, or another version of onnxruntime"):
        return open_bytes(model.SerializeToString())


def batches_of(frames: Iterable[NDArray[np.uint8]], batch: int) -> Iterator[NDArray[np.uint8]]:
    """Frames in batches; the last one is filled up with its last frame."""
    waiting = iter(frames)
    while chunk := list(itertools.islice(waiting, batch)):
        yield np.stack(chunk + [chunk[-1]] * (batch - len(chunk)))


class Probe:
    """Compares candidates with the float32 graph.

    Args:
        model: the float32 ``onnx.ModelProto`` with the outputs ``labels`` and ``logits``.
        frames: frames as the graph takes them, each without its batch dimension.
        truth: their labels, uint8 (height, width) at the size of the graph's, 255 = ignore; None without truth.
        batch: frames per call.
        num_classes: classes.
        content: top, left, height and width of the part of the labels that counts; None for all.
    """

    def __init__(
        self,
        model: Any,
        frames: Sequence[NDArray[np.uint8]],
        truth: Sequence[NDArray[np.uint8]] | None,
        batch: int,
        num_classes: int,
        content: tuple[int, int, int, int] | None = None,
    ) -> None:
        self.frames, self.truth, self.batch, self.num_classes = frames, truth, batch, num_classes
        top, left, height_px, width_px = content or (0, 0, None, None)
        self._rows = slice(top, None if height_px is None else top + height_px)
        self._columns = slice(left, None if width_px is None else left + width_px)
        self._source = list(self._run(model))
        self.source_miou = self._miou([labels for labels, _ in self._source])

    def score(self, model: Any) -> Score:
        """Run a candidate on all frames.

        Args:
            model: an ``onnx.ModelProto`` with the same inputs and outputs.
        """
        equal = pixels = 0
        error = scale = 0.0
        predicted = []
        for (labels, logits), (source_labels, source_logits) in zip(self._run(model), self._source, strict=True):
            equal, pixels = equal + int((labels == source_labels).sum()), pixels + labels.size
            error += float(np.square(logits - source_logits, dtype=np.float64).sum())
            scale += float(np.square(source_logits, dtype=np.float64).sum())
            predicted.append(labels)
        miou = self._miou(predicted)
        drop = None if miou is None or self.source_miou is None else 100 * (self.source_miou - miou)
        return Score(equal / pixels, float(np.sqrt(error / max(scale, np.finfo(np.float64).tiny))), drop)

    def _run(self, model: Any) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        session = open_model(model)
        left = len(self.frames)
        for batch in batches_of(self.frames, self.batch):
            labels, logits = session.run(list(OUTPUTS), {"frames": batch})
            yield labels[:left, self._rows, self._columns], logits[:left]
            left -= len(batch)

    def _miou(self, labels: Sequence[NDArray[np.uint8]]) -> float | None:
        if self.truth is None:
            return None
        matrix = ConfusionMatrix(self.num_classes)
        matrix.update(np.concatenate(labels), np.stack(self.truth)[:, self._rows, self._columns])
        return scores(matrix.counts).miou
