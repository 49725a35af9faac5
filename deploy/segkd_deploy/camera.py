"""From RGB images to what a camera gives: BGR and NV12."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError, unknown_name

COLORS = ("RGB", "BGR", "NV12")


@dataclass(frozen=True)
class YuvCoding:
    """How R'G'B' in 0..255 becomes 8-bit Y'CbCr.

    Source: ITU-R BT.601-7 2.5 and BT.709-6 3; limited is their own quantisation, full that of JFIF.

    Attributes:
        red: weight of red in the luma.
        blue: weight of blue in the luma.
        luma_offset: code of black.
        luma_range: codes from black to white.
        chroma_range: codes from the smallest to the largest colour difference; 128 is none.
    """

    red: float
    blue: float
    luma_offset: float
    luma_range: float
    chroma_range: float

    def to_yuv(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Matrix (3, 3) and offset (3,) with ``yuv = matrix @ rgb + offset``."""
        luma = np.array([self.red, 1 - self.red - self.blue, self.blue])
        blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - self.blue))
        red = (np.array([1, 0, 0]) - luma) / (2 * (1 - self.red))
        scales = np.array([self.luma_range, self.chroma_range, self.chroma_range]) / 255
        matrix: NDArray[np.float64] = np.stack([luma, blue, red]) * scales[:, None]
        return matrix, np.array([self.luma_offset, 128.0, 128.0])

    def to_rgb(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Matrix (3, 3) and offset (3,) with ``rgb = matrix @ yuv + offset``."""
        matrix, offset = self.to_yuv()
        inverse: NDArray[np.float64] = np.linalg.inv(matrix).astype(np.float64)
        return inverse, -inverse @ offset


YUV: dict[str, YuvCoding] = {
    "bt601": YuvCoding(0.299, 0.114, 16, 219, 224),
    "bt709": YuvCoding(0.2126, 0.0722, 16, 219, 224),
    "bt601-full": YuvCoding(0.299, 0.114, 0, 255, 255),
    "bt709-full": YuvCoding(0.2126, 0.0722, 0, 255, 255),
}


def yuv_coding(name: str | None) -> YuvCoding:
    """A coding by its name.

    Raises:
        SegkdError: for an unknown name.
    """
    if name not in YUV:
        raise unknown_name("coding of NV12", str(name), YUV)
    return YUV[name]


def to_camera(image: NDArray[np.uint8], color: str, yuv: str | None = None) -> NDArray[np.uint8]:
    """An RGB image as a camera would have given it.

    Args:
        image: uint8 RGB (height, width, 3).
        color: a member of ``COLORS``.
        yuv: for NV12, a key of ``YUV``.

    Returns:
        uint8, (height, width, 3), or (height * 3/2, width) for NV12, whose chroma is the mean of 2 x 2 pixels.

    Raises:
        SegkdError: for an unknown colour or coding, or odd sides for NV12.
    """
    if color == "RGB":
        return image
    if color == "BGR":
        return np.ascontiguousarray(image[..., ::-1])
    if color != "NV12":
        raise unknown_name("colour", color, COLORS)
    height_px, width_px = image.shape[:2]
    if height_px % 2 or width_px % 2:
        raise SegkdError(f"NV12 frames have even sides, this one is {height_px}x{width_px} (height x width)")
    matrix, offset = yuv_coding(yuv).to_yuv()
    planes = image @ matrix.T.astype(np.float32) + offset.astype(np.float32)
    blocks = planes[..., 1:].reshape(height_px // 2, 2, width_px // 2, 2, 2).mean(axis=(1, 3))
    stacked = np.concatenate([planes[..., 0], blocks.reshape(height_px // 2, width_px)])
    return np.asarray(np.clip(np.rint(stacked), 0, 255), np.uint8)
