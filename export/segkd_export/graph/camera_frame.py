"""The camera's frame inside the graph: colours and size on the way in, labels of the frame's size on the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd.manifest import Box, Geometry
from segkd_deploy.camera import yuv_coding
from segkd_distill.models.network import Network

Size = tuple[int, int]
Yuv = Literal["bt601", "bt709", "bt601-full", "bt709-full"]

_COLORS: dict[str, Literal["RGB", "BGR", "NV12"]] = {"rgb": "RGB", "bgr": "BGR", "nv12": "NV12"}


@dataclass(frozen=True)
class CameraOptions:
    """What the camera gives and what is wanted back.

    Attributes:
        frame: height and width of the camera's frame in pixels; None for the network's.
        color: what the frame holds, ``rgb``, ``bgr`` or ``nv12``.
        yuv: how NV12 codes colours, a key of ``segkd_deploy.camera.YUV``.
        resize: ``stretch`` fills the network's size; ``letterbox`` keeps the shape and fills with the mean colour.
        labels: whether labels have the size of the ``frame`` or of the ``graph``.
    """

    frame: Size | None = None
    color: Literal["rgb", "bgr", "nv12"] = "rgb"
    yuv: Yuv = "bt709"
    resize: Literal["stretch", "letterbox"] = "stretch"
    labels: Literal["frame", "graph"] = "frame"


class CameraFrame(nn.Module):
    """Both ends of a graph: frames to the network's image, logits to labels.

    Args:
        imgsz: height and width in pixels that the network sees.
        options: what the camera gives and what is wanted back.
        mean: RGB in 0..255, the colour of a letterbox.

    Attributes:
        imgsz: height and width in pixels that the network sees.
        frame: height and width of the frame in pixels.
        content: where the frame lies in the image.
        labels_px: height and width of the labels in pixels.

    Raises:
        SegkdError: for NV12 frames with odd sides, or an unknown coding.
    """

    mean: Tensor
    fill: Tensor
    from_yuv: Tensor
    black: Tensor

    def __init__(
        self, imgsz: Size, options: CameraOptions = CameraOptions(), mean: Sequence[float] = (0, 0, 0)
    ) -> None:
        super().__init__()
        self.imgsz, self.options = imgsz, options
        self.frame = options.frame or imgsz
        if options.color == "nv12" and any(side % 2 for side in self.frame):
            raise SegkdError(
                f"NV12 frames have even sides, this one is {self.frame[0]}x{self.frame[1]} (height x width); "
                "name the camera's size with --frame HxW"
            )
        self.content = content_box(self.frame, imgsz) if options.resize == "letterbox" else _whole(imgsz)
        self.labels_px = self.frame if options.labels == "frame" else imgsz
        matrix, offset = yuv_coding(options.yuv).to_rgb()
        self.register_buffer("from_yuv", torch.from_numpy(matrix.T).float().reshape(3, 1, 3, 1, 1), persistent=False)
        self.register_buffer("black", torch.from_numpy(offset).float().reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("fill", self._fill(mean), persistent=False)

    @property
    def plain(self) -> bool:
        """Whether the network sees the frame at its own size."""
        return self.frame == self.imgsz

    @property
    def color(self) -> Literal["RGB", "BGR", "NV12"]:
        """What the manifest says of it."""
        return _COLORS[self.options.color]

    @property
    def yuv(self) -> Yuv | None:
        """How NV12 codes colours."""
        return self.options.yuv if self.options.color == "nv12" else None

    def geometry(self) -> Geometry | None:
        """For the manifest."""
        if self.plain:
            return None
        return Geometry(
            height_px=self.imgsz[0],
            width_px=self.imgsz[1],
            resize=self.options.resize,
            content=self.content,
            labels=self.options.labels,
        )

    def frames_shape(self, count: int) -> tuple[int, ...]:
        """Shape of ``count`` frames."""
        height_px, width_px = self.frame
        if self.options.color == "nv12":
            return (count, height_px * 3 // 2, width_px)
        return (count, height_px, width_px, 3)

    def to_image(self, frames: Tensor) -> Tensor:
        """Frames as the network takes them.

        The cast comes before the transposition because TensorRT refuses to transpose uint8. NV12 is resized plane by
        plane before its colours are computed, which is linear but for the clamp: the chroma of a block lies at its
        centre.

        Args:
            frames: uint8, of the shape ``frames_shape(N)``.

        Returns:
            float32 RGB 0..255 (N, 3, height, width) at the network's size.
        """
        size = (self.content.height_px, self.content.width_px)
        if self.options.color == "nv12":
            image = self._from_nv12(frames.to(torch.float32), size)
        else:
            image = _resize(frames.to(torch.float32).permute(0, 3, 1, 2), size)
            if self.options.color == "bgr":
                image = torch.cat([image[:, 2:3], image[:, 1:2], image[:, 0:1]], dim=1)
        if size == self.imgsz:
            return image
        bottom = self.imgsz[0] - self.content.top_px - size[0]
        right = self.imgsz[1] - self.content.left_px - size[1]
        return F.pad(image, (self.content.left_px, right, self.content.top_px, bottom)) + self.fill

    def to_scores(self, network: Network, logits: Tensor) -> Tensor:
        """Logits at the labels' size.

        Labels at the frame's size come from one interpolation: the logits are resized as if the letterbox were part
        of the frame, to whole pixels, and the letterbox is cut off.

        Args:
            network: its ``upsample`` owns ``align_corners``.
            logits: (N, K, h, w) at the network's own resolution.

        Returns:
            (N, K, height, width).
        """
        if self.plain or self.options.labels == "graph":
            return network.upsample(logits, self.imgsz)
        box, (height_px, width_px) = self.content, self.frame
        padded = (round(self.imgsz[0] * height_px / box.height_px), round(self.imgsz[1] * width_px / box.width_px))
        top = min(round(box.top_px * height_px / box.height_px), padded[0] - height_px)
        left = min(round(box.left_px * width_px / box.width_px), padded[1] - width_px)
        scores = network.upsample(logits, padded)
        if padded == self.frame:
            return scores
        return scores[:, :, top : top + height_px, left : left + width_px]

    def _from_nv12(self, rows: Tensor, size: Size) -> Tensor:
        height_px, width_px = self.frame
        luma = _resize(rows[:, :height_px].unsqueeze(1), size)
        blocks = rows[:, height_px:].reshape(-1, height_px // 2, width_px // 2, 2).permute(0, 3, 1, 2)
        chroma = _resize(blocks, size)
        weights = self.from_yuv
        image = luma * weights[0] + chroma[:, :1] * weights[1] + chroma[:, 1:] * weights[2]
        return (image + self.black).clamp(0, 255)

    def _fill(self, mean: Sequence[float]) -> Tensor:
        """(1, 3, height, 1) or (1, 3, 1, width): the mean on what a letterbox adds, 0 on the frame."""
        inside = torch.zeros(1, 1, *self.imgsz)
        box = self.content
        inside[..., box.top_px : box.top_px + box.height_px, box.left_px : box.left_px + box.width_px] = 1
        outside = 1 - (inside.amax(3, keepdim=True) if box.height_px < self.imgsz[0] else inside.amax(2, keepdim=True))
        return torch.tensor(mean, dtype=torch.float32).reshape(1, 3, 1, 1) * outside


def content_box(frame: Size, imgsz: Size) -> Box:
    """Where a frame lies when it is scaled into ``imgsz`` without changing its shape, in the middle."""
    scale = min(imgsz[0] / frame[0], imgsz[1] / frame[1])
    height_px, width_px = (max(1, min(side, round(length * scale))) for length, side in zip(frame, imgsz, strict=True))
    return Box(
        top_px=(imgsz[0] - height_px) // 2,
        left_px=(imgsz[1] - width_px) // 2,
        height_px=height_px,
        width_px=width_px,
    )


def _whole(imgsz: Size) -> Box:
    return Box(top_px=0, left_px=0, height_px=imgsz[0], width_px=imgsz[1])


def _resize(image: Tensor, size: Size) -> Tensor:
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)
