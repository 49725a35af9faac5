"""From logits to labels as the tail of a graph does it, right and wrong: resampling as matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkd.manifest import Manifest
from segkd_deploy.graph_spec import LabelResize

# How output pixels find their place in the input, and how they are made of its neighbours.
# name -> (coordinates, kernel); the names are those of ONNX's Resize, nearest_floor and nearest_ceil with its rounding.
MODES: dict[str, tuple[str, str]] = {
    "bilinear": ("half_pixel", "linear"),
    "bilinear with align_corners": ("align_corners", "linear"),
    "bilinear at asymmetric coordinates": ("asymmetric", "linear"),
    "nearest": ("half_pixel", "nearest"),
    "nearest at asymmetric coordinates": ("asymmetric", "nearest"),
    "nearest with align_corners": ("align_corners", "nearest"),
    "nearest, rounded down": ("half_pixel", "nearest_floor"),
    "nearest, rounded up": ("half_pixel", "nearest_ceil"),
    "bicubic": ("half_pixel", "cubic"),
    "bicubic with align_corners": ("align_corners", "cubic"),
}
_CUBIC_A = -0.75


def resized_labels(logits: NDArray[np.floating], resize: LabelResize, mode: str) -> NDArray[np.uint8]:
    """Labels of logits, the lowest of equals.

    Args:
        logits: (N, K, h, w).
        resize: sizes and window; ``mode`` says how it interpolates.
        mode: a key of ``MODES``.

    Returns:
        uint8 (N, height, width).
    """
    coordinates, kernel = MODES[mode]
    grid = (int(logits.shape[2]), int(logits.shape[3]))
    down, across = (resampling(i, o, coordinates, kernel) for i, o in zip(grid, resize.interpolated, strict=True))
    down = down[resize.top : resize.top + resize.labels[0]].astype(np.float32)
    across = across[resize.left : resize.left + resize.labels[1]].astype(np.float32)

    labels = np.empty((len(logits), *resize.labels), np.uint8)
    for index, frame in enumerate(logits):
        labels[index] = np.matmul(down, frame.astype(np.float32) @ across.T).argmax(axis=0)
    return labels


def label_resize_of(manifest: Manifest) -> LabelResize:
    """What an artifact's graphs should do with logits: labels at the frame's size are cut out of the letterbox."""
    frame, geometry = (manifest.input.height_px, manifest.input.width_px), manifest.geometry
    if geometry is None:
        return LabelResize(frame, 0, 0, frame)
    net, box = (geometry.height_px, geometry.width_px), geometry.content
    if geometry.labels == "graph":
        return LabelResize(net, 0, 0, net)
    padded = (round(net[0] * frame[0] / box.height_px), round(net[1] * frame[1] / box.width_px))
    top = min(round(box.top_px * frame[0] / box.height_px), padded[0] - frame[0])
    left = min(round(box.left_px * frame[1] / box.width_px), padded[1] - frame[1])
    return LabelResize(padded, top, left, frame)


def resampling(length: int, wanted: int, coordinates: str, kernel: str) -> NDArray[np.float64]:
    """The matrix (wanted, length) that resamples a line of pixels, as ONNX's Resize does without antialiasing.

    Args:
        length: pixels of the input.
        wanted: pixels of the output.
        coordinates: ``half_pixel``, ``align_corners`` or ``asymmetric``.
        kernel: ``linear``, ``nearest``, ``nearest_floor``, ``nearest_ceil`` or ``cubic``; nearest takes the pixel
            below at asymmetric coordinates, and else the closest.
    """
    if length == wanted and coordinates != "asymmetric":
        return np.eye(length)
    at = np.arange(wanted)
    # In single precision, as runtimes compute it: the pixel below 14.9999990 is another one than that below 15.
    scale = np.float32(wanted / length)
    if coordinates == "half_pixel":
        place = ((at + np.float32(0.5)).astype(np.float32) / scale - np.float32(0.5)).astype(np.float64)
    elif coordinates == "align_corners":
        place = at * ((length - 1) / max(wanted - 1, 1))
    else:
        place = (at.astype(np.float32) / scale).astype(np.float64)
    if kernel.startswith("nearest"):
        below = kernel == "nearest_floor" or (kernel == "nearest" and coordinates == "asymmetric")
        nearest = np.ceil(place) if kernel == "nearest_ceil" else np.floor(place if below else place + 0.5)
        taps, weights = nearest[:, None], np.ones((wanted, 1))
    elif kernel == "linear":
        # Beyond the outermost pixel centres linear interpolation repeats the border.
        place = place.clip(0, length - 1)
        first = np.floor(place)
        taps, weights = first[:, None] + [0, 1], np.stack([1 - (place - first), place - first], axis=1)
    else:
        first = np.floor(place)
        part = place - first
        taps = first[:, None] + [-1, 0, 1, 2]
        weights = np.stack([_cubic(1 + part), _cubic(part), _cubic(1 - part), _cubic(2 - part)], axis=1)
    matrix = np.zeros((wanted, length))
    np.add.at(matrix, (at[:, None], taps.clip(0, length - 1).astype(int)), weights)
    return matrix


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel with a = -0.75, as torch and ONNX have it."""
    near = (_CUBIC_A + 2) * distance**3 - (_CUBIC_A + 3) * distance**2 + 1
    far = _CUBIC_A * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, far)
