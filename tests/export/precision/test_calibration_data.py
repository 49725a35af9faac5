from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.readers.cityscapes import LABEL_SPACE
from segkd.errors import SegkdError
from segkd.recipe import Recipe, parse_recipe
from segkd_export.graph.camera_frame import CameraFrame, CameraOptions
from segkd_export.precision.calibration_data import CalibrationData, FrameHash, gather_calibration
from tests.export.conftest import ODD_SIZE


def gather(
    workshop: Path, recipe: Recipe, spec: str | None = None, count: int = 4, **camera: object
) -> CalibrationData:
    validation = [open_dataset(f"cityscapes:{workshop / 'data'}", split="val")]
    frame = CameraFrame(ODD_SIZE, CameraOptions(**camera))  # type: ignore[arg-type]  # options by their names
    return gather_calibration(spec, count, recipe, LABEL_SPACE, validation, frame)


@pytest.fixture
def spec(workshop: Path) -> str:
    return f"cityscapes:{workshop / 'data'}"


def test_frames_are_spread_and_held_out_ones_are_apart(workshop: Path, spec: str) -> None:
    data = gather(workshop, parse_recipe({"data": {"train": spec}}))
    ids = open_dataset(spec, split="train").ids
    assert data.held_out.ids == [ids[0], ids[4], ids[8]], "a quarter of 12"
    rest = [name for name in ids if name not in data.held_out.ids]
    assert data.frames.ids == [rest[0], rest[2], rest[4], rest[6]]
    assert (data.name, len(data.fingerprint)) == ("cityscapes", 16)
    assert data.truth is not None and len(data.truth) == 3
    np.testing.assert_array_equal(data.truth[1], open_dataset(spec, split="train").read_mask(4))
    np.testing.assert_array_equal(data.frames[1], open_dataset(spec, split="train").read_image(ids.index(rest[2])))


def test_unlabelled_frames_of_the_recipe_fill_up(workshop: Path, spec: str) -> None:
    recipe = parse_recipe({"data": {"train": f"{spec},frames=:4", "unlabelled": f"{spec},frames=4:"}})
    data = gather(workshop, recipe, count=64)
    assert len(data.frames) == 9 and len(data.held_out) == 1 + 2
    assert data.truth is not None and (data.truth[0] != 255).any()
    assert all((truth == 255).all() for truth in data.truth[1:])
    assert len(gather(workshop, recipe, f"{spec},frames=:4", count=64).frames) == 3


def test_the_flag_wins_over_the_recipe_and_its_calibration_over_its_training_data(workshop: Path, spec: str) -> None:
    recipe = parse_recipe({"data": {"train": spec}, "export": {"calibration": f"{spec},frames=6:"}})
    ids = open_dataset(spec, split="train").ids
    assert gather(workshop, recipe).held_out.ids == [ids[6]]
    assert gather(workshop, recipe, f"{spec},frames=3:").held_out.ids == [ids[3], ids[7]]


def test_frames_are_what_the_camera_gives(workshop: Path, spec: str) -> None:
    recipe = parse_recipe({"data": {"train": spec}})
    data = gather(workshop, recipe, frame=(32, 48), color="nv12", labels="graph", resize="letterbox")
    assert data.frames[0].shape == data.held_out[0].shape == (48, 48)
    assert data.truth is not None and data.truth[0].shape == ODD_SIZE
    assert data.content == (0, 5, 60, 90)
    assert (data.truth[0][:, :5] == 255).all()


def test_data_of_other_classes_gives_frames_but_no_truth(workshop: Path, tmp_path: Path) -> None:
    shutil.copytree(workshop / "data/leftImg8bit/train/city", tmp_path / "frames")
    data = gather(workshop, Recipe(), f"images:{tmp_path / 'frames'}")
    assert data.truth is None and len(data.frames) == 4


@pytest.mark.parametrize("name", ["export.calibration", "--calibration"])
def test_validation_images_are_refused(workshop: Path, spec: str, name: str) -> None:
    recipe = parse_recipe({"export": {"calibration": f"{spec},split=val"}} if name.startswith("export") else {})
    with pytest.raises(SegkdError, match=r"5 calibration images are validation images, the first is .*_000000_000000"):
        gather(workshop, recipe, None if name.startswith("export") else f"{spec},split=val")


def test_copies_of_validation_images_are_refused(workshop: Path, tmp_path: Path) -> None:
    shutil.copytree(workshop / "data/leftImg8bit/val/city", tmp_path / "copies")
    shutil.copy(next((workshop / "data/leftImg8bit/train/city").iterdir()), tmp_path / "copies" / "z.png")
    with pytest.raises(SegkdError, match="5 calibration images are validation images"):
        gather(workshop, Recipe(), f"images:{tmp_path / 'copies'}", count=9)


@pytest.mark.parametrize(
    ("data", "spec", "message"),
    [
        ({}, None, "the run names none; --calibration NAME:PATH"),
        ({"train": "cityscapes:/gone"}, None, r"calibration: .*/gone.*--calibration"),
        ({}, "cityscapes:{data},frames=:1", "has 1 image; int8 needs one more"),
    ],
)
def test_without_training_images(workshop: Path, data: dict[str, str], spec: str | None, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        gather(workshop, parse_recipe({"data": data}), spec and spec.format(data=workshop / "data"))


def test_the_hash_tells_frames_and_their_order(workshop: Path, spec: str) -> None:
    def digest(count: int) -> str:
        seen = FrameHash()
        frames = gather(workshop, parse_recipe({"data": {"train": spec}}), count=count).frames
        assert len(list(seen.watch(frames))) == count
        return seen.hexdigest()

    assert digest(4) == digest(4) != digest(3)
