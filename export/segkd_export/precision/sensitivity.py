"""Which layers lose most in 8 bits: each is quantised alone, everything else stays in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segkd_export.precision.calibration import Ranges
from segkd_export.precision.int8 import Layer, quantise
from segkd_export.precision.probe import Probe
from segkd_export.progress import with_progress

# The form whose range is coarser: it has no zero point.
FORM = "int8"


@dataclass(frozen=True)
class LayerSensitivity:
    """What one layer costs.

    Attributes:
        layer: its name.
        kind: operator type.
        logits_relative_l2: norm of what it changes in the logits, over the norm of the float32 graph's.
        agreement: share of pixels whose label stays, 0..1.
        drop: loss of mIoU in points; None without truth.
    """

    layer: str
    kind: str
    logits_relative_l2: float
    agreement: float
    drop: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def rank_layers(
    model: Any,
    ranges: Ranges,
    layers: Sequence[Layer],
    probe: Probe,
    say: Callable[[str], None] = lambda line: None,
) -> list[LayerSensitivity]:
    """Layers from the worst to the best, by what they change in the logits.

    The logits rank more surely than labels or mIoU, which jump from pixel to pixel.

    Args:
        model: what ``prepare`` gave of the float32 model.
        ranges: of the layers' tensors.
        layers: what is quantised.
        probe: measures.
        say: is told how far it is.
    """
    found = []
    for layer in with_progress(layers, len(layers), "layers measured", say):
        score = probe.score(quantise(model, FORM, ranges, [layer]))
        found.append(LayerSensitivity(layer.name, layer.kind, score.logits_relative_l2, score.agreement, score.drop))
    return sorted(found, key=lambda row: -row.logits_relative_l2)
