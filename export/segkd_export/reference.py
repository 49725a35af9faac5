"""Reference frames with truth and the labels of both networks: a device compares without torch or the data set."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segkd.data.base import IGNORE, Dataset
from segkd.errors import SegkdError
from segkd_deploy.camera import to_camera
from segkd_deploy.evaluate import resize_frame, resize_labels
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.parity.diagnosis.frames import scale_contrast
from segkd_deploy.reference import FILES, GAIN, IDS, as_recorded, contrast_response
from segkd_distill.models.network import Network
from segkd_export.graph.camera_frame import CameraFrame

LARGEST_MARGIN = float(np.finfo(np.float16).max)
# Sizes that were rounded to even or divisible numbers stay below.
MAX_STRETCH = 0.02


@dataclass(frozen=True)
class ReferenceFrames:
    """Frames of a data set as a graph takes them.

    Attributes:
        images: uint8, RGB (N, height, width, 3) unless the camera gives something else.
        truth: uint8 class indices (N, height, width) at the size of the graph's labels, 255 = ignore.
        ids: their names in the data set.
        stretched: sizes (height, width) in pixels of the images whose proportions are not the frame's.
    """

    images: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    ids: list[str]
    stretched: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Prediction:
    """What a torch network says of frames.

    Attributes:
        labels: uint8 class indices (N, height, width).
        margin: float16 (N, height, width), largest minus second largest upsampled logit.
        logits: float32 (N, K, h, w), not upsampled.
        contrast_response: float32 (N,), how much the logits change at half the contrast, as relative L2;
            None if that was not asked for.
    """

    labels: NDArray[np.uint8]
    margin: NDArray[np.float16]
    logits: NDArray[np.float32]
    contrast_response: NDArray[np.float32] | None = None


def pick_indices(total: int, count: int) -> list[int]:
    """``count`` indices spread evenly over ``range(total)``, or all of them if there are fewer."""
    count = min(total, count)
    return [index * total // count for index in range(count)]


def read_frames(dataset: Dataset, count: int, camera: CameraFrame) -> ReferenceFrames:
    """Frames spread over a data set; other sizes than the graph's are resized, images bilinear, masks nearest.

    Args:
        dataset: a data set with masks.
        count: how many frames; all if the data set has fewer.
        camera: what the graph takes and gives.

    Raises:
        SegkdError: if the data set has no masks, or a file cannot be read.
    """
    if not dataset.has_masks:
        raise SegkdError("reference frames need truth, but this data set has no masks; name a labelled one with --data")
    samples = [dataset.read(index) for index in pick_indices(len(dataset), count)]
    return ReferenceFrames(
        np.stack([frame_for(sample.image, camera) for sample in samples]),
        np.stack([truth_for(sample.mask, camera) for sample in samples]),
        [sample.id for sample in samples],
        [size for sample in samples if stretches(size := sample.image.shape[:2], camera.frame)],
    )


def stretches(size: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Whether an image of a size (height, width) changes its proportions by more than 2 % in the frame."""
    return abs(size[0] * frame[1] / (size[1] * frame[0]) - 1) > MAX_STRETCH


def say_stretched(frames: ReferenceFrames, camera: CameraFrame) -> str | None:
    """One line about images that lose their proportions in the frame; None if there are none."""
    if not frames.stretched:
        return None
    (height, width), (frame_height, frame_width) = frames.stretched[0], camera.frame
    factor = height * frame_width / (width * frame_height)
    return (
        f"{len(frames.stretched)} of {len(frames.ids)} reference images have other proportions than the frame of "
        f"{frame_height}x{frame_width} and are stretched by {max(factor, 1 / factor):.2f} (the first is "
        f"{height}x{width}), which costs accuracy; --frame {height}x{width} --resize letterbox keeps their shape"
    )


def frame_for(image: NDArray[np.uint8], camera: CameraFrame) -> NDArray[np.uint8]:
    """An RGB image (height, width, 3) as the camera would have given it."""
    return to_camera(resize_frame(image, *camera.frame), camera.color, camera.yuv)


def truth_for(mask: NDArray[np.uint8], camera: CameraFrame) -> NDArray[np.uint8]:
    """A mask (height, width) at the size of the graph's labels; what a letterbox adds is 255."""
    if camera.options.labels == "frame":
        return resize_labels(mask, *camera.labels_px)
    box = camera.content
    truth = np.full(camera.labels_px, IGNORE, np.uint8)
    rows, columns = slice(box.top_px, box.top_px + box.height_px), slice(box.left_px, box.left_px + box.width_px)
    truth[rows, columns] = resize_labels(mask, box.height_px, box.width_px)
    return truth


def predict(
    segmenter: Network,
    images: NDArray[np.uint8] | NDArray[np.float32],
    device: torch.device,
    camera: CameraFrame | None = None,
) -> Prediction:
    """Label frames one by one with a torch network in float32, without TF32.

    Args:
        segmenter: a network in eval mode; it is moved to ``device``.
        images: frames as the camera gives them, uint8 or float32 (N, ...).
        device: where to run it.
        camera: what the frames are and where labels go; None for RGB frames at the network's size.
    """
    segmenter = segmenter.to(device)
    camera = CameraFrame((images.shape[1], images.shape[2])) if camera is None else copy.deepcopy(camera)
    camera = camera.to(device)
    labels, margins, logits = [], [], []
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for image in images:
            low = segmenter(camera.to_image(torch.from_numpy(image)[None].to(device))).logits.float()
            scores = camera.to_scores(segmenter, low)
            top = scores.topk(min(2, scores.shape[1]), dim=1).values
            margin = top[:, 0] - top[:, 1] if top.shape[1] == 2 else torch.full_like(top[:, 0], LARGEST_MARGIN)
            labels.append(scores.argmax(dim=1).to(torch.uint8).cpu().numpy())
            margins.append(margin.clamp(max=LARGEST_MARGIN).to(torch.float16).cpu().numpy())
            logits.append(low.cpu().numpy())
    return Prediction(np.concatenate(labels), np.concatenate(margins), np.concatenate(logits))


def with_response(
    student: Prediction, segmenter: Network, images: NDArray[np.uint8], device: torch.device, camera: CameraFrame
) -> Prediction:
    """Add to a prediction how much its logits change at half the contrast.

    A graph that was exported with batch statistics does not see the contrast; this number tells it from a network
    that does not see it either.

    Args:
        student: the network on the frames.
        segmenter: the network.
        images: the frames, uint8 (N, ...).
        device: where to run it.
        camera: what the frames are.
    """
    spec = GraphSpec(None, *camera.frame, segmenter.num_classes, color=camera.color, yuv=camera.yuv)
    red, green, blue = (float(value) for value in segmenter.mean.flatten())
    half = scale_contrast(images, spec, (red, green, blue), GAIN)
    faint = predict(segmenter, half, device, camera)
    return replace(student, contrast_response=contrast_response(student.logits, faint.logits))


def write_reference(
    folder: Path, frames: ReferenceFrames, student: Prediction, teacher_labels: NDArray[np.uint8] | None
) -> dict[str, str]:
    """Write the arrays as plain ``.npy`` files named by ``segkd_deploy.reference``, and the names as ``ids.json``.

    Args:
        folder: a new folder.
        frames: the frames and their truth.
        student: the torch student on these frames.
        teacher_labels: uint8 (N, height, width), or None without a teacher.

    Returns:
        What -> file name, for the manifest.
    """
    folder.mkdir(parents=True)
    arrays: dict[str, NDArray[np.generic]] = {
        "frames": frames.images,
        "truth": frames.truth,
        "student": student.labels,
        "margins": student.margin,
        "logits": as_recorded(student.logits),
    }
    if student.contrast_response is not None:
        arrays["response"] = student.contrast_response
    if teacher_labels is not None:
        arrays["teacher"] = teacher_labels
    for what, array in arrays.items():
        np.save(folder / FILES[what], np.ascontiguousarray(array))
    (folder / IDS).write_text(json.dumps(frames.ids, indent=2) + "\n", encoding="utf-8")
    return {what: FILES[what] for what in arrays}
