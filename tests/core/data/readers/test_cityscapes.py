"""Cityscapes: the official ids, names, files and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.data.base import DataFileError
from segkd.data.readers.cityscapes import IGNORED_LABEL_IDS, LABEL_SPACE, Cityscapes
from segkd.errors import SegkdError
from tests.core.data.files import cityscapes, photo, save

# Label id -> train id, from the official table.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9}
TRAIN_IDS |= {23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
IDS = np.array([*range(34), 255], np.uint8)


def test_every_official_id_becomes_its_train_id(tmp_path) -> None:
    root = cityscapes(tmp_path, ["bonn_000000_000019"])
    mask = root / "gtFine/val/bonn/bonn_000000_000019_gtFine_labelIds.png"
    save(mask, IDS[None])
    save(root / "leftImg8bit/val/bonn/bonn_000000_000019_leftImg8bit.png", photo(1, 35))
    read = open_dataset(f"cityscapes:{root}").read(0)
    assert read.mask.dtype == np.uint8
    np.testing.assert_array_equal(read.mask, [[TRAIN_IDS.get(int(label_id), 255) for label_id in IDS]])
    assert len(IGNORED_LABEL_IDS) == 35 - 19


def test_classes_are_the_official_ones() -> None:
    assert LABEL_SPACE.num_classes == 19
    assert LABEL_SPACE.names[:3] == ("road", "sidewalk", "building")
    assert LABEL_SPACE.names[6:8] == ("traffic light", "traffic sign")
    assert LABEL_SPACE.names[-2:] == ("motorcycle", "bicycle")
    assert LABEL_SPACE.palette[0] == (128, 64, 128)
    assert LABEL_SPACE.palette[18] == (119, 11, 32)
    assert LABEL_SPACE.ignore == 255


def test_pairs_by_name_in_a_stable_order(tmp_path) -> None:
    names = ["ulm_000001_000019", "aachen_000000_000019", "ulm_000000_000019"]
    dataset = open_dataset(f"cityscapes:{cityscapes(tmp_path, names)}")
    assert dataset.ids == sorted(names)
    assert dataset.image_path(0).name == "aachen_000000_000019_leftImg8bit.png"
    assert dataset.mask_path(0).name == "aachen_000000_000019_gtFine_labelIds.png"
    assert dataset.read(0).id == "aachen_000000_000019"


def test_other_files_of_the_official_tree_are_passed_over(tmp_path) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019"])
    for kind in ("color", "instanceIds"):
        save(tmp_path / f"gtFine/val/ulm/ulm_000000_000019_gtFine_{kind}.png", photo())
    (tmp_path / "gtFine/val/ulm/ulm_000000_000019_gtFine_polygons.json").write_text("{}")
    assert len(open_dataset(f"cityscapes:{tmp_path}")) == 1


def test_train_ids_are_read_when_they_are_all_there_is_or_asked_for(tmp_path) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019"], suffix="labelTrainIds", value=18)
    assert open_dataset(f"cityscapes:{tmp_path}").read_mask(0).max() == 18
    cityscapes(tmp_path, ["ulm_000000_000019"], value=8)
    for options, expected in (("", 1), (",labels=auto", 1), (",labels=ids", 1), (",labels=train_ids", 18)):
        assert (open_dataset(f"cityscapes:{tmp_path}{options}").read_mask(0) == expected).all()


@pytest.mark.parametrize(("suffix", "value"), [("labelIds", 34), ("labelIds", 254), ("labelTrainIds", 19)])
def test_other_values_are_errors(tmp_path, suffix, value) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019"], suffix=suffix, value=value)
    with pytest.raises(DataFileError, match=f"{suffix}.png: undeclared value {value}; .*{suffix}.png files hold 0 to"):
        open_dataset(f"cityscapes:{tmp_path}").read(0)


def test_missing_partners_stop_training_and_name_the_first_and_the_count(tmp_path) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019", "ulm_000001_000019", "ulm_000002_000019"])
    (tmp_path / "gtFine/val/ulm/ulm_000001_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(
        SegkdError, match=r"ulm_000001_000019_leftImg8bit.png: image without a mask; expected .*labelIds"
    ):
        open_dataset(f"cityscapes:{tmp_path}")
    (tmp_path / "leftImg8bit/val/ulm/ulm_000002_000019_leftImg8bit.png").unlink()
    with pytest.raises(SegkdError, match=r"2 such files in all, `segkd data check cityscapes:.*` lists them"):
        open_dataset(f"cityscapes:{tmp_path}")
    loose = open_dataset(f"cityscapes:{tmp_path}", strict=False)
    assert loose.ids == ["ulm_000000_000019"]
    assert len(loose.problems) == 2


def test_coarse_annotations(tmp_path) -> None:
    name = "ulm_000000_000019"
    for split in ("train", "train_extra"):
        save(tmp_path / f"leftImg8bit/{split}/ulm/{name}_leftImg8bit.png", photo())
        save(tmp_path / f"gtCoarse/{split}/ulm/{name}_gtCoarse_labelIds.png", np.full((12, 16), 33, np.uint8))
    save(tmp_path / f"gtFine/train/ulm/{name}_gtFine_labelIds.png", np.full((12, 16), 7, np.uint8))
    for spec, split, value, count in (
        ("", "train", 0, 2975),
        (",quality=fine", "train", 0, 2975),
        (",quality=coarse", "train", 18, 2975),
        ("", "train_extra", 18, 19998),
    ):
        dataset = open_dataset(f"cityscapes:{tmp_path}{spec}", split)
        assert dataset.ids == [name]
        assert (dataset.read(0).mask == value).all()
        assert dataset.expected_count == count
    assert dataset.form == "*_gtCoarse_labelIds.png, as distributed"
    with pytest.raises(SegkdError, match=r"no folder .*gtFine/train_extra"):
        open_dataset(f"cityscapes:{tmp_path},quality=fine", "train_extra")


def test_the_test_split_is_frames_with_known_classes(tmp_path) -> None:
    cityscapes(tmp_path, ["berlin_000001_000019", "berlin_000000_000019"], split="test", value=0)
    dataset = open_dataset(f"cityscapes:{tmp_path},frames=:1", "test")
    assert dataset.ids == ["berlin_000000_000019"]
    assert not dataset.has_masks
    assert dataset.labels == LABEL_SPACE
    assert dataset.read_image(0).shape == (12, 16, 3)
    assert dataset.fingerprint()
    assert open_dataset(f"cityscapes:{tmp_path}", "test").expected_count == 1525
    with pytest.raises(SegkdError, match="the labels of this split are not public"):
        dataset.read_mask(0)


def test_file_values_are_label_ids(tmp_path) -> None:
    cityscapes(tmp_path, ["ulm_000000_000019"], suffix="labelTrainIds", value=18)
    dataset = open_dataset(f"cityscapes:{tmp_path}")
    assert dataset.form == "*_gtFine_labelTrainIds.png, made by cityscapesScripts"
    assert dataset.file_values == tuple(TRAIN_IDS)


def test_what_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(SegkdError, match=r"no folder .*leftImg8bit/val"):
        Cityscapes(tmp_path, split="val")
    cityscapes(tmp_path, ["ulm_000000_000019"])
    with pytest.raises(SegkdError, match=r"no folder .*leftImg8bit/train"):
        Cityscapes(tmp_path, split="train")
    with pytest.raises(SegkdError, match=r"no folder .*leftImg8bit/test"):
        Cityscapes(tmp_path, split="test")
    with pytest.raises(SegkdError, match=r"no folder .*leftImg8bit/valid; unknown split 'valid'; did you mean 'val'"):
        Cityscapes(tmp_path, split="valid")
    with pytest.raises(SegkdError, match=r"no folder .*gtCoarse/val; Cityscapes has leftImg8bit/val and gtCoarse/val"):
        Cityscapes(tmp_path, quality="coarse")
    with pytest.raises(
        SegkdError, match="unknown value of the Cityscapes option quality 'corse'; did you mean 'coarse'"
    ):
        Cityscapes(tmp_path, quality="corse")
    with pytest.raises(SegkdError, match="unknown value of the Cityscapes option labels 'id'; did you mean 'ids'"):
        Cityscapes(tmp_path, labels="id")
    (tmp_path / "gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(SegkdError, match=r"labelIds.png in .*gtFine/val; unpack gtFine_trainvaltest.zip"):
        Cityscapes(tmp_path)
