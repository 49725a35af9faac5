"""Pictures of the frames on which a graph differs most from its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data import LabelSpace
from segkd.data.base import Sample
from segkd.evaluation.prediction_files import write_png
from segkd.evaluation.worst_images import side_by_side
from segkd_deploy.artifact import Artifact
from segkd_deploy.evaluate import resize_frame
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.reference import Reference

WORST = 3


def write_pictures(
    folder: Path, variant: str, artifact: Artifact, reference: Reference, labels: NDArray[np.uint8]
) -> list[dict[str, Any]]:
    """Write a picture of each of the worst frames: frame, the source's labels, the graph's, and the difference in red.

    Args:
        folder: where to.
        variant: name of the graph.
        artifact: it.
        reference: its frames.
        labels: uint8 (N, height, width), the graph's.

    Returns:
        ``id file flips`` of each, the worst first; frames without a difference have no picture.

    Raises:
        SegkdError: if a file cannot be written.
    """
    flips = (labels != reference.student).sum(axis=(1, 2))
    space = artifact.manifest.label_space
    shown = LabelSpace(tuple(space.names), tuple(space.palette), space.ignore)
    rows: list[dict[str, Any]] = []
    for index in sorted(np.flatnonzero(flips), key=lambda one: (-flips[one], one))[:WORST]:
        name = reference.ids[index]
        picture = rgb_of(reference.frames[index], artifact.spec())
        sample = Sample(_fitted(picture, artifact), reference.student[index], name)
        file = f"{variant}_{len(rows) + 1}_{name.replace('/', '_')}.png"
        write_png(folder / file, side_by_side(sample, labels[index], shown))
        rows.append({"id": name, "file": f"{folder.name}/{file}", "flips": int(flips[index])})
    return rows


def rgb_of(frame: NDArray[np.uint8], spec: GraphSpec) -> NDArray[np.uint8]:
    """A frame as an RGB picture (height, width, 3); NV12 as video players show it."""
    import cv2

    if spec.color == "NV12":
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_NV12), np.uint8)
    return np.ascontiguousarray(frame[..., ::-1]) if spec.color == "BGR" else frame


def _fitted(picture: NDArray[np.uint8], artifact: Artifact) -> NDArray[np.uint8]:
    """A picture at the size of the labels, where the frame lies in them."""
    spec = artifact.spec()
    height_px, width_px = spec.labels_shape(1)[1:]
    if spec.content_px is None:
        return resize_frame(picture, height_px, width_px)
    top, left, rows_px, columns_px = spec.content_px
    whole = np.zeros((height_px, width_px, 3), np.uint8)
    whole[top : top + rows_px, left : left + columns_px] = resize_frame(picture, rows_px, columns_px)
    return whole
