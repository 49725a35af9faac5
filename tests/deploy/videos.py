"""Video files for the tests, lossless, so that every pixel of a frame is known."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def make_video(path: Path, frames: NDArray[np.uint8], fps: float = 10.0, codec: str = "FFV1") -> Path:
    """Write RGB frames (N, height, width, 3)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (frames.shape[2], frames.shape[1]))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def read_video(path: Path) -> NDArray[np.uint8]:
    """All frames, RGB (N, height, width, 3), with OpenCV alone."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            return np.stack(frames)[..., ::-1].astype(np.uint8)
        frames.append(frame)


def make_uneven_mkv(path: Path, times_ms: list[int], nominal_fps: float, size_px: tuple[int, int] = (16, 24)) -> Path:
    """Motion JPEG in Matroska, written by hand: frame i is shown at ``times_ms[i]``, the header says another rate.

    As screen recorders write it, the duration is right and the number of frames is nowhere.
    """
    height_px, width_px = size_px
    video = _element("e0", _element("b0", _number(width_px)) + _element("ba", _number(height_px)))
    every_ns = _element("23e383", _number(round(1e9 / nominal_fps)))
    track = b"".join(_element(name, _number(1)) for name in ("d7", "73c5", "83")) + _element("86", b"V_MJPEG")
    duration = struct.pack(">d", times_ms[-1] + 1e3 / nominal_fps)
    info = _element("2ad7b1", _number(1_000_000)) + _element("4489", duration)
    info += _element("4d80", b"test") + _element("5741", b"test")
    clusters = b""
    for index, time_ms in enumerate(times_ms):
        picture = np.full((height_px, width_px, 3), (index * 5 % 256, 90, 60), np.uint8)
        block = b"\x81\x00\x00\x80" + cv2.imencode(".jpg", picture)[1].tobytes()
        clusters += _element("1f43b675", _element("e7", _number(time_ms)) + _element("a3", block))
    versions = {"4286": 1, "42f7": 1, "42f2": 4, "42f3": 8, "4287": 2, "4285": 2}
    head = b"".join(_element(name, _number(value)) for name, value in versions.items()) + _element("4282", b"matroska")
    tracks = _element("1654ae6b", _element("ae", track + every_ns + video))
    path.write_bytes(_element("1a45dfa3", head) + _element("18538067", _element("1549a966", info) + tracks + clusters))
    return path


def _element(name: str, body: bytes) -> bytes:
    return bytes.fromhex(name) + struct.pack(">Q", len(body) | 1 << 56) + body


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")
