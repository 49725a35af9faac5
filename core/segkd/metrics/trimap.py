"""IoU of the pixels near the boundaries of the truth, for one width or a curve of widths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd.metrics.boundary import boundary_band
from segkd.metrics.confusion import ConfusionMatrix, check_shapes


class Trimap:
    """One confusion matrix per width, over the pixels within that distance of a boundary of the truth.

    The idea is that of Kohli et al. (2009) and Krähenbühl & Koltun (2011); DeepLab draws the curve over widths. A
    pixel belongs to the band of width w if another label lies within w rows and columns
    (:func:`segkd.metrics.boundary_band`). Ignored pixels are never scored; by default their borders are boundaries, as
    DeepLab's void borders are.

    Numbers of different widths, and of bands made otherwise, cannot be compared: publish the width.

    Args:
        num_classes: number of classes, K.
        widths_px: one or more widths in pixels, each at least 1.
        ignore: value of the truth that is not scored.
        void_borders: whether borders with ignored pixels are boundaries.

    Attributes:
        widths_px: the widths, ascending.

    Raises:
        SegkdError: without widths, or for one below 1.
    """

    def __init__(
        self, num_classes: int, widths_px: Sequence[int], *, ignore: int = 255, void_borders: bool = True
    ) -> None:
        if not widths_px or min(widths_px) < 1:
            raise SegkdError(f"a trimap needs widths of at least 1 pixel, got {list(widths_px)}")
        self.widths_px = tuple(sorted(set(widths_px)))
        self._neutral = None if void_borders else ignore
        # What each width adds to the next smaller one.
        self._rings = [ConfusionMatrix(num_classes, ignore) for _ in self.widths_px]

    def update(self, prediction: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
        """Count one image.

        Args:
            prediction: uint8 (H, W).
            target: uint8 (H, W), each a class or the ignored value.

        Raises:
            SegkdError: for other types or shapes.
        """
        check_shapes(prediction, target, maps=True)
        inner = np.zeros(target.shape, bool)
        for width_px, ring in zip(self.widths_px, self._rings, strict=True):
            band = boundary_band(target, width_px, neutral=self._neutral)
            new = band > inner
            ring.update(prediction[new], target[new])
            inner = band

    def counts(self, width_px: int) -> NDArray[np.int64]:
        """The confusion matrix of a width, (K, K + 1).

        Raises:
            SegkdError: for a width that was not asked for.
        """
        if width_px not in self.widths_px:
            raise SegkdError(f"no trimap of {width_px} px was counted; there are {', '.join(map(str, self.widths_px))}")
        rings = self._rings[: self.widths_px.index(width_px) + 1]
        total: NDArray[np.int64] = np.sum([ring.counts for ring in rings], axis=0, dtype=np.int64)
        return total
