"""Numbers of segmentation quality, made in one place for training, parity and devices."""

from segkd.metrics.boundary import boundary_band
from segkd.metrics.confusion import ConfusionMatrix
from segkd.metrics.scores import Scores, scores

__all__ = ["ConfusionMatrix", "Scores", "boundary_band", "scores"]
