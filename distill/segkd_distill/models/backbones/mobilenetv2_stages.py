"""Stages of MobileNetV2, as three publications dilate them; known without torch."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """A stage of inverted residuals.

    Attributes:
        expand: factor by which a block widens its input (t in the paper).
        channels: channels of the output at width 1 (c).
        blocks: number of blocks (n).
        stride: stride of the first block.
        dilation: dilation of the first block.
        rest: dilation of the other blocks; mmsegmentation never dilates them.
    """

    expand: int
    channels: int
    blocks: int
    stride: int
    dilation: int
    rest: int = 1


STAGES = (
    Stage(1, 16, 1, 1, 1),
    Stage(6, 24, 2, 2, 1),
    Stage(6, 32, 3, 2, 1),
    Stage(6, 64, 4, 1, 2),
    Stage(6, 96, 3, 1, 2),
    Stage(6, 160, 3, 1, 4),
    Stage(6, 320, 1, 1, 4),
)
# Output stride 8; a first block that would have halved the size has half the dilation.
CIRKD_STAGES = (
    *STAGES[:3],
    Stage(6, 64, 4, 1, 1, 2),
    Stage(6, 96, 3, 1, 2, 2),
    Stage(6, 160, 3, 1, 2, 4),
    Stage(6, 320, 1, 1, 4, 4),
)
# Output stride 16; only the last block is dilated.
ATTNFD_STAGES = (
    *STAGES[:3],
    Stage(6, 64, 4, 2, 1),
    Stage(6, 96, 3, 1, 1),
    Stage(6, 160, 3, 1, 1),
    Stage(6, 320, 1, 1, 2),
)
