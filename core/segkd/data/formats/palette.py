"""Colours for classes that come without."""

from __future__ import annotations


def voc_colour(index: int) -> tuple[int, int, int]:
    """The colour that PASCAL VOC's palette gives an index.

    Bits 0, 1, 2 of the index are the highest bits of red, green and blue, bits 3, 4, 5 the next, and so on: 0 is black,
    1 (128, 0, 0), 2 (0, 128, 0), 15 (192, 128, 128).
    """
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
    red, green, blue = channels
    return red, green, blue
