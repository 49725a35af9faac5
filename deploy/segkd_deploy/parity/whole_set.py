"""A graph on a whole data set, image by image, so that two graphs can be compared on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data import Dataset
from segkd.data.base import Sample
from segkd.errors import SegkdError
from segkd.evaluation import evaluate_set
from segkd.manifest import Evaluation
from segkd.metrics import Areas, MetricSuite, Scores, bootstrap_deltas
from segkd_deploy.eval_source import GraphPredictor
from segkd_deploy.parity.compare import RESAMPLES, interval
from segkd_deploy.runners import Runner

# Proportions that differ by less come from rounding to whole pixels.
_SAME_PROPORTIONS = 0.02


@dataclass(frozen=True)
class WholeSet:
    """What a graph reaches on a data set.

    Attributes:
        data: how the data set was named.
        fingerprint: of the data set.
        per_image: areas (N, K).
        scores: of the whole set.
        stretched: images whose proportions are not the frame's.
        frame_px: the frame's height and width.
    """

    data: str | None
    fingerprint: str
    per_image: Areas
    scores: Scores
    stretched: int
    frame_px: tuple[int, int]

    @classmethod
    def score(
        cls,
        runner: Runner,
        dataset: Dataset,
        name: str | None,
        class_names: Sequence[str],
        progress: Callable[[int], None],
    ) -> WholeSet:
        """Score a graph on a whole data set.

        Args:
            runner: open.
            dataset: with masks and the graph's classes.
            name: how the data set was named.
            class_names: the graph's classes.
            progress: called with 1 after every image.

        Raises:
            SegkdError: if the data set has other classes or no masks, or a file cannot be read.
        """
        if dataset.has_masks and list(dataset.labels.names) != list(class_names):
            data = ", ".join(dataset.labels.names)
            raise SegkdError(f"the graph's classes are {', '.join(class_names)}; the data set has {data}")
        suite = MetricSuite(class_names, dataset.labels.ignore)
        rows: list[Areas] = []
        sizes: list[tuple[int, ...]] = []

        def keep(index: int, sample: Sample, labels: NDArray[np.uint8], image: Areas) -> None:
            sizes.append(sample.mask.shape)
            rows.append(image)
            progress(1)

        evaluate_set(GraphPredictor(runner, class_names), dataset, suite, on_prediction=keep)

        frame_px = (runner.spec.height_px, runner.spec.width_px)
        per_image = Areas(*(np.stack(part) for part in zip(*rows, strict=True)))
        stretched = sum(_is_stretched(size, frame_px) for size in sizes)
        return cls(name, dataset.fingerprint(), per_image, suite.scores(), stretched, frame_px)

    def to_dict(
        self, class_names: Sequence[str], before: WholeSet | None, run: Evaluation | None = None
    ) -> dict[str, Any]:
        """For JSON, with the difference to another graph on the same data and its interval of 95 %.

        Args:
            class_names: one per class.
            before: the other graph.
            run: the source run's own evaluation; it is compared with if it is of the same data.
        """
        said: dict[str, Any] = {"data": self.data, "images": len(self.per_image.hits), "fingerprint": self.fingerprint}
        said |= {"stretched": self.stretched, "frame_px": list(self.frame_px), "run": None}
        said |= self.scores.to_dict(class_names)
        if run is not None and run.fingerprint == self.fingerprint and math.isfinite(self.scores.miou):
            delta = self.scores.miou - run.miou
            said["run"] = {"miou": run.miou, "protocol": run.protocol, "miou_delta": delta}
        if before is None:
            return said
        found = bootstrap_deltas(before.per_image, self.per_image, resamples=RESAMPLES)
        classes = zip(class_names, self.scores.iou, before.scores.iou, found.iou, strict=True)
        said["before"] = {
            "miou_delta": self.scores.miou - before.scores.miou,
            "interval": interval(found.miou, said["images"]),
            "per_class_delta": {
                name: {"delta": a - b, "interval": interval(ends, said["images"])} for name, a, b, ends in classes
            },
        }
        return said


def size_words(whole: Mapping[str, Any]) -> list[str]:
    """What the frame's size does to a data set, in sentences for people.

    Args:
        whole: of ``WholeSet.to_dict``.
    """
    said = []
    run, images, stretched = whole.get("run"), whole["images"], whole.get("stretched", 0)
    size = "x".join(map(str, whole.get("frame_px", ())))
    if run is not None:
        change = f"{100 * run['miou']:.2f} -> {100 * whole['miou']:.2f} ({100 * run['miou_delta']:+.2f} points)"
        said.append(f"whole set: mIoU of the run's own evaluation ({run['protocol']}) to the graph at {size}: {change}")
    if stretched:
        advice = "" if run is not None else "; `segkd eval RUN` on this data says what that costs"
        said.append(
            f"{stretched} of {images} images have other proportions than the frame of {size} and are stretched; "
            f"export with --imgsz of their proportions, or --frame HxW --resize letterbox{advice}"
        )
    return said


def keep_whole_set(
    earlier: Mapping[str, Any] | None, manifest_sha256: str, variant: str, sha256: str, runtime: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The scores that an earlier validation gave a graph, if it was of the same bytes in the same runtime.

    Args:
        earlier: content of ``parity.json``.
        manifest_sha256: of the artifact.
        variant: of the graph.
        sha256: of the graph.
        runtime: what the runner says of itself now.
    """
    try:
        part = (earlier or {})["variants"][variant]
        same = (earlier or {})["artifact"]["manifest_sha256"] == manifest_sha256 and part["sha256"] == sha256
        keys = ("name", "version", "provider", "device")
        same = same and all(part["runtime"].get(key) == runtime.get(key) for key in keys)
        whole = part["whole_set"]
    except (KeyError, TypeError, AttributeError):
        return None
    return dict(whole) if same and isinstance(whole, dict) else None


def _is_stretched(size: Sequence[int], frame_px: tuple[int, int]) -> bool:
    factor = size[0] * frame_px[1] / (size[1] * frame_px[0])
    return abs(factor - 1) > _SAME_PROPORTIONS
