"""What a picture file holds that its labels do not see: more bits, transparency, inks, damage that was passed over."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from pathlib import Path

from PIL import Image

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_BIT_DEPTH_OFFSET = 24
# A header is all that is looked at; text and profiles before the pixels may make it long.
_HEAD_BYTES = 1 << 16

_DEEP = "have 16 bits per channel, of which the upper 8 are used; convert them if their values fill only a part"
_CLEAR = "have a transparency channel, which is left out"
_INKS = "are of inks (CMYK), turned into RGB without a colour profile"


def facts(data: bytes) -> list[str]:
    """What there is to say about a picture, from the start of its bytes; nothing for what cannot be read."""
    found = []
    if data.startswith(_PNG_START) and len(data) > _PNG_BIT_DEPTH_OFFSET and data[_PNG_BIT_DEPTH_OFFSET] == 16:
        found.append(_DEEP)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            mode, clear = picture.mode, "transparency" in picture.info
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error):
        return found  # the decoder says what is wrong
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or clear:
        found.append(_CLEAR)
    if mode == "CMYK":
        found.append(_INKS)
    return found


class PictureNotes:
    """Counts what pictures hold, and says each kind once."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, Path] = {}

    def look(self, path: Path) -> None:
        """Look at the start of a file that was decoded."""
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        for fact in facts(head):
            self._counts[fact] += 1
            self._first.setdefault(fact, path)

    def lines(self) -> list[str]:
        """One line per kind, with their number and the first."""
        return [f"{count} pictures {fact} (first: {self._first[fact]})" for fact, count in self._counts.items()]
