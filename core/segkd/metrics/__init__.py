"""Numbers of segmentation quality, made in one place for training, parity and devices.

- ``confusion``, ``scores``: counts of a whole set, and the only code that makes numbers of them
- ``boundary``, ``boundary_f``, ``boundary_iou``, ``trimap``: quality near boundaries
- ``connectivity``: objects in one piece; ``bootstrap``: intervals; ``suite``: all that was asked for in one pass
"""

from segkd.metrics.bootstrap import Intervals, bootstrap_deltas, bootstrap_intervals
from segkd.metrics.boundary import boundary_band
from segkd.metrics.boundary_f import BoundaryF
from segkd.metrics.boundary_iou import BoundaryIoU
from segkd.metrics.confusion import ConfusionMatrix
from segkd.metrics.connectivity import Connectivity
from segkd.metrics.scores import Areas, Scores, areas, scores
from segkd.metrics.suite import MetricOptions, MetricSuite
from segkd.metrics.trimap import Trimap

__all__ = [
    "Areas",
    "BoundaryF",
    "BoundaryIoU",
    "ConfusionMatrix",
    "Connectivity",
    "Intervals",
    "MetricOptions",
    "MetricSuite",
    "Scores",
    "Trimap",
    "areas",
    "bootstrap_deltas",
    "bootstrap_intervals",
    "boundary_band",
    "scores",
]
