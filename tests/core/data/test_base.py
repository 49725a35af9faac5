"""Data set specifications, and what every data set shares."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError, LabelSpace, parse_spec
from segkd.errors import SegkdError
from tests.core.data.files import cityscapes, cut_short, photo, save

NAMES = [f"ulm_{index:06d}_000019" for index in range(5)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return cityscapes(tmp_path, NAMES)


def test_specifications_are_split() -> None:
    assert parse_spec("folder:/data/a:b,val_fraction=0.2,frames=:3") == (
        "folder",
        Path("/data/a:b"),
        {"val_fraction": "0.2", "frames": ":3"},
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("/data/cityscapes", "expected NAME:PATH"),
        ("cityscapes:", "expected NAME:PATH"),
        ("cityscapes:{root},labels", "option 'labels' has no value; write option=value"),
        ("cityscape:{root}", "unknown data set 'cityscape'; did you mean 'cityscapes'"),
        ("cityscapes:{root}/gone", "no folder .*gone"),
        ("cityscapes:{root},label=ids", "unknown option of cityscapes 'label'; did you mean 'labels'"),
        ("images:{root},val_fraction=0.1", "unknown option of images 'val_fraction'"),
        ("cityscapes:{root},frames=3", "frames=3 is no range; write frames=START:STOP"),
        ("cityscapes:{root},frames=a:b", "frames=a:b is no range"),
        ("cityscapes:{root},frames=5:", "no images for split 'val'"),
        ("cityscapes:{root},split=train", "no folder .*leftImg8bit/train"),
    ],
)
def test_wrong_specifications(root, spec, message) -> None:
    with pytest.raises(SegkdError, match=message):
        open_dataset(spec.format(root=root))


@pytest.mark.parametrize(("frames", "expected"), [(":2", [0, 1]), ("3:", [3, 4]), ("1:3", [1, 2]), ("-1:", [4])])
def test_frames_are_a_part_of_the_set(root, frames, expected) -> None:
    whole, part = open_dataset(f"cityscapes:{root}"), open_dataset(f"cityscapes:{root},frames={frames}")
    assert part.ids == [NAMES[index] for index in expected]
    assert part.labels == whole.labels
    assert part.image_path(0) == whole.image_path(expected[0])
    np.testing.assert_array_equal(part.read(0).image, whole.read(expected[0]).image)
    assert part.fingerprint() != whole.fingerprint()


def test_the_split_option_wins(root) -> None:
    assert len(open_dataset(f"cityscapes:{root},split=val", split="train")) == 5


def test_image_and_mask_must_have_one_size(root) -> None:
    save(root / f"gtFine/val/ulm/{NAMES[1]}_gtFine_labelIds.png", np.full((12, 15), 7, np.uint8))
    with pytest.raises(DataFileError, match=r"labelIds.png: mask is 12x15 \(height x width\), its image 12x16"):
        open_dataset(f"cityscapes:{root}").read(1)


def test_the_fingerprint_sees_a_changed_file(root) -> None:
    before = open_dataset(f"cityscapes:{root}").fingerprint()
    assert open_dataset(f"cityscapes:{root}").fingerprint() == before
    cut_short(root / f"leftImg8bit/val/ulm/{NAMES[0]}_leftImg8bit.png")
    assert open_dataset(f"cityscapes:{root}").fingerprint() != before


def test_data_sets_and_their_errors_travel_between_processes(root) -> None:
    dataset = pickle.loads(pickle.dumps(open_dataset(f"cityscapes:{root},frames=:2")))
    assert dataset.read(1).id == NAMES[1]
    error = pickle.loads(pickle.dumps(DataFileError(Path("a.png"), "cut short")))
    assert str(error) == "a.png: cut short"
    assert error.problem == (Path("a.png"), "cut short")


def test_label_spaces_survive_json_and_refuse_nonsense() -> None:
    labels = LabelSpace(("road", "car"), ((1, 2, 3), (4, 5, 6)))
    assert LabelSpace.from_dict(labels.to_dict()) == labels
    with pytest.raises(SegkdError, match="1 to 255 classes"):
        LabelSpace((), ())
    with pytest.raises(SegkdError, match="2 class names but 1 colours"):
        LabelSpace(("road", "car"), ((1, 2, 3),))


def test_pictures_are_opened_only_when_read(root) -> None:
    path = root / f"leftImg8bit/val/ulm/{NAMES[0]}_leftImg8bit.png"
    path.write_bytes(b"no picture")
    dataset = open_dataset(f"cityscapes:{root}")
    with pytest.raises(SegkdError, match=str(path)):
        dataset.read_image(0)
    save(path, photo())
    assert dataset.read_image(0).shape == (12, 16, 3)
