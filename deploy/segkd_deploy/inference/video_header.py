"""Whether a video file's header holds the number of its frames, or only lets one guess it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_LARGE_SIZE = 1
# Boxes of an MP4 file that lie at its top; more of them than any writer makes are not looked at.
_MOST_BOXES = 10_000


def records_its_frames(path: Path) -> bool:
    """Whether the container has a table or a field of its frames that its maker filled in.

    AVI has a field, MP4 and MOV a table unless they are fragmented. MKV, WebM and the rest say a duration and a nominal
    rate alone, whose product is a guess: with a varying rate it is far too high.

    Args:
        path: the file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
                return True
            return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") and not _is_fragmented(file)
    except OSError:
        return False


def _is_fragmented(file: BinaryIO) -> bool:
    """Whether an MP4 file has its frames in fragments, each with a table of its own."""
    place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return False
        size, kind = struct.unpack(">I4s", head[:8])
        if kind == b"moof":
            return True
        if size == _LARGE_SIZE and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
        if size < 8:  # 0: up to the end
            return False
        place += size
    return True
