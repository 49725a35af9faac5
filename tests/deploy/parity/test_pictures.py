from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from segkd_deploy.artifact import open_artifact
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.parity import Plan, validate_artifact
from segkd_deploy.parity.pictures import rgb_of, write_pictures
from tests.deploy.parity.small import HEIGHT_PX, RIGHT, WIDTH_PX, Build, make_artifact


def test_the_worst_frames_first(tmp_path: Path) -> None:
    artifact = open_artifact(make_artifact(tmp_path / "a", {"fp32": RIGHT}))
    reference = artifact.reference()
    labels = reference.student.copy()
    labels[1, 3:5, 4:8] = (labels[1, 3:5, 4:8] + 1) % 4
    labels[2, 0, 0] = (labels[2, 0, 0] + 1) % 4
    rows = write_pictures(tmp_path / "pictures", "fp32", artifact, reference, labels)
    assert [(row["id"], row["flips"], row["file"]) for row in rows] == [
        ("frame1", 8, "pictures/fp32_1_frame1.png"),
        ("frame2", 1, "pictures/fp32_2_frame2.png"),
    ]
    picture = cv2.imread(str(tmp_path / rows[0]["file"]))
    gap = (picture.shape[1] - 4 * WIDTH_PX) // 3
    frame, source, graph, difference = (
        picture[:, at * (WIDTH_PX + gap) : at * (WIDTH_PX + gap) + WIDTH_PX] for at in range(4)
    )
    assert picture.shape[0] == HEIGHT_PX
    np.testing.assert_array_equal(frame[..., ::-1], reference.frames[1])
    palette = np.array(artifact.manifest.label_space.palette)[:, ::-1]
    np.testing.assert_array_equal(source, palette[reference.student[1]])
    np.testing.assert_array_equal(graph, palette[labels[1]])
    red = (difference == difference[3, 4]).all(axis=-1)
    assert red.sum() == 8 and red[3:5, 4:8].all()


def test_validate_writes_them(tmp_path: Path) -> None:
    artifact = open_artifact(make_artifact(tmp_path / "a", {"fp32": Build(shift=1)}))
    part = validate_artifact(artifact, Plan(pictures=tmp_path / "parity"))["variants"]["fp32"]
    assert len(part["pictures"]) == 3 and all((tmp_path / row["file"]).is_file() for row in part["pictures"])


def test_frames_of_every_camera_are_shown_in_rgb() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert (rgb_of(red[..., ::-1], GraphSpec(1, 2, 2, 3, color="BGR")) == red).all()
    grey = np.full((3, 2), 128, np.uint8)
    shown = rgb_of(grey, GraphSpec(1, 2, 2, 3, color="NV12", yuv="bt601"))
    assert shown.shape == (2, 2, 3) and np.ptp(shown) < 6
