"""What every network returns, and what can be known of it without running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

TAPS = ("c1", "c2", "c3", "c4", "c4_pre", "context", "decoder")


class SegOutput(NamedTuple):
    """The output of a segmentation network.

    Attributes:
        logits: (N, K, h, w) float, at the network's own resolution.
        aux_logits: (N, K, h', w') of the auxiliary head while training, else None.
        taps: the intermediate features that were asked for, each (N, C, h, w).
    """

    logits: Tensor
    aux_logits: Tensor | None
    taps: dict[str, Tensor]


@dataclass(frozen=True)
class TapInfo:
    """Widths and strides of a network's taps.

    Attributes:
        channels: tap name -> number of channels; a tap that the network lacks is absent.
        strides: tap name -> pixels of the input per cell of the tap; ``logits`` is among them.
        num_classes: channels of the logits.
    """

    channels: dict[str, int]
    strides: dict[str, int]
    num_classes: int
