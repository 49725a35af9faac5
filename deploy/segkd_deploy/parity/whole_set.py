"""A graph on a whole data set, image by image, so that two graphs can be compared on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data import Dataset
from segkd.metrics import Areas, Scores, areas, bootstrap_deltas, scores
from segkd_deploy.evaluate import confusion, evaluate_graph
from segkd_deploy.parity.compare import RESAMPLES
from segkd_deploy.runners import Runner


@dataclass(frozen=True)
class WholeSet:
    """What a graph reaches on a data set.

    Attributes:
        data: how the data set was named.
        fingerprint: of the data set.
        per_image: areas (N, K).
        scores: of the whole set.
    """

    data: str | None
    fingerprint: str
    per_image: Areas
    scores: Scores

    @classmethod
    def score(
        cls,
        runner: Runner,
        dataset: Dataset,
        name: str | None,
        class_names: Sequence[str],
        progress: Callable[[int], None],
    ) -> WholeSet:
        """Score an open runner; see :func:`evaluate_graph`."""
        rows: list[Areas] = []

        def keep(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
            rows.append(areas(confusion(labels, truth, len(class_names)).counts))

        found = scores(evaluate_graph(runner, dataset, class_names, progress, keep).counts)
        return cls(name, dataset.fingerprint(), Areas(*(np.stack(part) for part in zip(*rows, strict=True))), found)

    def to_dict(self, class_names: Sequence[str], before: WholeSet | None) -> dict[str, Any]:
        """For JSON, with the difference to another graph on the same data and its interval of 95 %."""
        said: dict[str, Any] = {"data": self.data, "images": len(self.per_image.hits), "fingerprint": self.fingerprint}
        said |= self.scores.to_dict(class_names)
        if before is None:
            return said
        found = bootstrap_deltas(before.per_image, self.per_image, resamples=RESAMPLES)
        classes = zip(class_names, self.scores.iou, before.scores.iou, found.iou, strict=True)
        said["before"] = {
            "miou_delta": self.scores.miou - before.scores.miou,
            "interval": list(found.miou),
            "per_class_delta": {name: {"delta": a - b, "interval": list(ends)} for name, a, b, ends in classes},
        }
        return said
