"""Frames that no camera gives: what a graph with a fault must be fed so that it sees what the network saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkd_deploy.camera import yuv_coding
from segkd_deploy.graph_spec import GraphSpec

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Affine:
    """A change of every colour: ``code' = matrix @ code + offset``.

    Attributes:
        matrix: (3, 3).
        offset: (3,).
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    def apply(self, frames: Frames, spec: GraphSpec) -> Frames:
        """Change frames of the shape ``spec.frames_shape(N)``.

        NV12 has one chroma for four pixels: where the matrix mixes luma and chroma, each pixel takes its block's
        chroma, and each block the mean of its luma.
        """
        if spec.color != "NV12":
            changed = frames @ self.matrix.T.astype(np.float32) + self.offset.astype(np.float32)
            return np.asarray(changed, np.float32)
        luma, chroma = split_nv12(frames, spec)
        wide = chroma.repeat(2, axis=1).repeat(2, axis=2)
        count, rows, columns = luma.shape
        blocks = luma.reshape(count, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))
        fine = np.concatenate([luma[..., None], wide], axis=-1) @ self.matrix[0] + self.offset[0]
        coarse = np.concatenate([blocks[..., None], chroma], axis=-1) @ self.matrix[1:].T + self.offset[1:]
        return join_nv12(np.asarray(fine, np.float32), np.asarray(coarse, np.float32))


def in_codes(matrix: NDArray[np.float64], offset: NDArray[np.float64], spec: GraphSpec) -> Affine:
    """A change of RGB colours in 0..255 as one of what the frames hold."""
    to_codes, black = coding(spec)
    turned = to_codes @ matrix @ np.linalg.inv(to_codes)
    return Affine(turned, to_codes @ offset + black - turned @ black)


def coding(spec: GraphSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (3, 3) and offset (3,) that turn RGB in 0..255 into what the frames hold."""
    if spec.color == "NV12":
        return yuv_coding(spec.yuv).to_yuv()
    return (np.eye(3)[::-1] if spec.color == "BGR" else np.eye(3)), np.zeros(3)


def scale_contrast(frames: NDArray[np.generic], spec: GraphSpec, mean: Sequence[float], gain: float) -> Frames:
    """Frames whose distance from a colour is scaled.

    Args:
        frames: of the shape ``spec.frames_shape(N)``.
        spec: what they hold.
        mean: the colour, RGB in 0..255.
        gain: 1 changes nothing.
    """
    centre = np.asarray(mean, np.float64)
    change = in_codes(gain * np.eye(3), (1 - gain) * centre, spec)
    return change.apply(frames.astype(np.float32), spec)


def split_nv12(frames: Frames, spec: GraphSpec) -> tuple[Frames, Frames]:
    """Luma (N, height, width) and chroma (N, height / 2, width / 2, 2)."""
    rows = spec.height_px
    return frames[:, :rows], frames[:, rows:].reshape(len(frames), rows // 2, spec.width_px // 2, 2)


def join_nv12(luma: Frames, chroma: Frames) -> Frames:
    """The reverse of :func:`split_nv12`."""
    return np.concatenate([luma, chroma.reshape(len(luma), -1, luma.shape[2])], axis=1)


def resample(frames: Frames, spec: GraphSpec, down: NDArray[np.float64], across: NDArray[np.float64]) -> Frames:
    """RGB or BGR frames through a matrix for their rows and one for their columns."""
    rows = np.einsum("ij,njwc->niwc", down.astype(np.float32), frames, optimize=True)
    return np.asarray(np.einsum("ij,nhjc->nhic", across.astype(np.float32), rows, optimize=True), np.float32)
