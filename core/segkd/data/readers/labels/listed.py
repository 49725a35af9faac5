"""Reading the tables in this folder, which are written as lines of text."""

from __future__ import annotations

from segkd.data.formats.value_map import Colour


def listed_names(text: str) -> tuple[str, ...]:
    """Names between commas; line breaks count as spaces."""
    return tuple(name.strip() for name in " ".join(text.split()).split(","))


def hex_colours(text: str) -> tuple[Colour, ...]:
    """RGB colours from words of six hex digits, as in ``"787878 b47878"``."""
    return tuple((value >> 16, value >> 8 & 255, value & 255) for value in (int(word, 16) for word in text.split()))
