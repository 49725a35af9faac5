"""The contract of a complete graph: what goes in, what comes out, and how its logits become its labels."""

from __future__ import annotations

from dataclasses import dataclass

from segkd.errors import SegkdError

# Every uint8 label is below this.
LABEL_VALUES = 256
# Providers of onnxruntime that run on the CPU and leave what they give in its memory.
CPU_PROVIDERS = ("cpu", "openvino")


@dataclass(frozen=True)
class GraphSpec:
    """Input and output of a complete graph.

    Attributes:
        batch: images per call; None when any number goes.
        height_px: frame height.
        width_px: frame width.
        num_classes: labels are below this.
        color: what a frame holds: ``RGB`` or ``BGR`` (height, width, 3), or ``NV12`` (height * 3/2, width): the luma
            rows, then half as many rows of interleaved U and V.
        yuv: how NV12 codes colours, a key of ``segkd_deploy.camera.YUV``; None for other frames.
        labels_px: height and width of the labels; None for the frame's.
        content_px: top, left, height and width of the part of the labels that the frame fills; None for all.
    """

    batch: int | None
    height_px: int
    width_px: int
    num_classes: int
    color: str = "RGB"
    yuv: str | None = None
    labels_px: tuple[int, int] | None = None
    content_px: tuple[int, int, int, int] | None = None

    def frames_shape(self, count: int) -> tuple[int, ...]:
        """Shape of ``count`` frames as ``infer`` takes them."""
        if self.color == "NV12":
            return (count, self.height_px * 3 // 2, self.width_px)
        return (count, self.height_px, self.width_px, 3)

    def labels_shape(self, count: int) -> tuple[int, int, int]:
        """Shape of the labels of ``count`` frames."""
        return (count, *(self.labels_px or (self.height_px, self.width_px)))


@dataclass(frozen=True)
class LabelResize:
    """How a graph brings its logits to the size of its labels.

    Attributes:
        interpolated: height and width that the logits are interpolated to.
        top: first row of it that the labels have.
        left: first column of it that the labels have.
        labels: height and width of the labels.
        align_corners: whether the outermost logits lie in the middle of the outermost pixels (ONNX:
            ``align_corners``) or the outer edges coincide (``half_pixel``).
    """

    interpolated: tuple[int, int]
    top: int
    left: int
    labels: tuple[int, int]
    align_corners: bool = False

    def __post_init__(self) -> None:
        bottom, right = self.top + self.labels[0], self.left + self.labels[1]
        inside = bottom <= self.interpolated[0] and right <= self.interpolated[1]
        if min(*self.interpolated, *self.labels) < 1 or min(self.top, self.left) < 0 or not inside:
            raise SegkdError(f"expected labels of at least one pixel inside {self.interpolated}, got {self}")
