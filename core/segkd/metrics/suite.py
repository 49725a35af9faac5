"""Everything that is measured over a set, fed image by image: the one way from label maps to numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.files import finite
from segkd.metrics.bootstrap import Intervals, bootstrap_intervals
from segkd.metrics.boundary_f import BoundaryF
from segkd.metrics.boundary_iou import BoundaryIoU
from segkd.metrics.confusion import ConfusionMatrix
from segkd.metrics.connectivity import Connectivity
from segkd.metrics.scores import Absent, Areas, Scores, areas, scores
from segkd.metrics.trimap import Trimap


@dataclass(frozen=True)
class MetricOptions:
    """What to measure beside IoU and accuracy.

    Attributes:
        trimap_px: widths of the trimap curve; none for no trimap.
        boundary_ratio: Boundary IoU's width as a share of the diagonal; None for no Boundary IoU.
        boundary_f_px: boundary F's distance; None for no boundary F.
        connectivity: whether to count connected components.
        bootstrap: draws of the confidence intervals; 0 for none.
        bootstrap_images: fewer images than these get no interval.
        seed: of the draws.
        void_borders: whether borders with ignored pixels belong to the trimap.
        absent: what a class that is nowhere adds to mIoU.
    """

    trimap_px: tuple[int, ...] = ()
    boundary_ratio: float | None = None
    boundary_f_px: float | None = None
    connectivity: bool = False
    bootstrap: int = 0
    bootstrap_images: int = 0
    seed: int = 0
    void_borders: bool = True
    absent: Absent = "skip"


class MetricSuite:
    """Measures a set of images.

    Args:
        class_names: one name per class.
        ignore: value of the truth that is not scored.
        options: what to measure.

    Attributes:
        confusion: counts of the whole set.
        ids: names of the images, in the order they came.
    """

    def __init__(self, class_names: Sequence[str], ignore: int = 255, options: MetricOptions | None = None) -> None:
        self.class_names = tuple(class_names)
        self.ignore = ignore
        self.options = options or MetricOptions()
        classes = len(self.class_names)
        self.confusion = ConfusionMatrix(classes, ignore)
        self.ids: list[str] = []
        self._areas: list[Areas] = []
        wanted = self.options
        self._trimap = (
            Trimap(classes, wanted.trimap_px, ignore=ignore, void_borders=wanted.void_borders)
            if wanted.trimap_px
            else None
        )
        ratio, theta_px = wanted.boundary_ratio, wanted.boundary_f_px
        self._boundary_iou = BoundaryIoU(classes, ratio, ignore=ignore) if ratio is not None else None
        self._boundary_f = BoundaryF(classes, theta_px, ignore=ignore) if theta_px is not None else None
        self._connectivity = Connectivity(classes, ignore=ignore) if wanted.connectivity else None

    def update(self, name: str, prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> Areas:
        """Measure one image.

        Args:
            name: the image's id.
            prediction: uint8 (H, W).
            target: uint8 (H, W), each a class or the ignored value.

        Returns:
            The image's own areas, (K,).

        Raises:
            SegkdError: naming the image, for other shapes, or a target that is neither a class nor ignored.
        """
        own = ConfusionMatrix(len(self.class_names), self.ignore)
        try:
            own.update(prediction, target)
        except SegkdError as error:
            raise SegkdError(f"image {name}: {error}") from error
        self.confusion.merge(own)
        image = areas(own.counts)
        self.ids.append(name)
        self._areas.append(image)
        for part in (self._trimap, self._boundary_iou, self._boundary_f, self._connectivity):
            if part is not None:
                part.update(prediction, target)
        return image

    def scores(self) -> Scores:
        """Scores of the whole set."""
        return scores(self.confusion.counts, self.options.absent)

    def per_image(self) -> list[dict[str, Any]]:
        """Each image's ``id miou aacc``, over the classes that occur in it; None where not defined."""
        rows = []
        for name, image in zip(self.ids, self._areas, strict=True):
            own = scores(image)
            rows.append(finite({"id": name, "miou": own.miou, "aacc": own.aacc}))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """All numbers for JSON; nan becomes None. Parts that were not asked for are left out."""
        result = self.scores().to_dict(self.class_names)
        parts: dict[str, Callable[[], dict[str, Any] | None]] = {
            "trimap": self._trimap_dict,
            "boundary_iou": self._boundary_iou_dict,
            "boundary_f": self._boundary_f_dict,
            "connectivity": self._connectivity_dict,
            "bootstrap": self._bootstrap_dict,
        }
        found = {key: make() for key, make in parts.items()}
        result |= {key: finite(values) for key, values in found.items() if values is not None}
        return result

    def _named(self, values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self.class_names, values, strict=True))

    def _trimap_dict(self) -> dict[str, Any] | None:
        if self._trimap is None:
            return None
        curve = []
        for width_px in self._trimap.widths_px:
            counts = self._trimap.counts(width_px)
            band = scores(counts, self.options.absent)
            row = {"width_px": width_px, "pixels": int(counts.sum())}
            curve.append(row | band.to_dict(self.class_names))
        return {"void_borders": self.options.void_borders, "curve": curve}

    def _boundary_iou_dict(self) -> dict[str, Any] | None:
        if self._boundary_iou is None:
            return None
        found = scores(self._boundary_iou.areas, self.options.absent)
        return {
            "ratio": self._boundary_iou.ratio,
            "widths_px": sorted(self._boundary_iou.widths_px),
            "mean": found.miou,
            "per_class": self._named(found.iou),
        }

    def _boundary_f_dict(self) -> dict[str, Any] | None:
        if self._boundary_f is None:
            return None
        found = self._boundary_f.scores()
        return {
            "theta_px": self._boundary_f.theta_px,
            "mean": found.mean,
            "per_class": self._named(found.f),
            "per_class_precision": self._named(found.precision),
            "per_class_recall": self._named(found.recall),
        }

    def _connectivity_dict(self) -> dict[str, Any] | None:
        if self._connectivity is None:
            return None
        found = self._connectivity.scores()
        measures = {key: value for key, value in vars(found).items() if key != "images"}
        rows = [dict(zip(measures, row, strict=True)) for row in zip(*measures.values(), strict=True)]
        return {"neighbours": 8, "mean": found.means(), "per_class": self._named(rows)}

    def _bootstrap_dict(self) -> dict[str, Any] | None:
        if not self.options.bootstrap or len(self.ids) < self.options.bootstrap_images:
            return None
        stacked = Areas(*(np.stack(part) for part in zip(*self._areas, strict=True)))
        found: Intervals = bootstrap_intervals(
            stacked, resamples=self.options.bootstrap, seed=self.options.seed, absent=self.options.absent
        )
        return {
            "resamples": self.options.bootstrap,
            "seed": self.options.seed,
            "confidence": 0.95,
            "images": len(self.ids),
            "miou": found.miou,
            "macc": found.macc,
            "aacc": found.aacc,
            "per_class": self._named(found.iou),
        }
