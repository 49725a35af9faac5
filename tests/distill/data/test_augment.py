from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd.recipe import Recipe, dump_recipe, load_recipe, parse_recipe
from segkd_distill.assemble import resolve_recipe
from segkd_distill.data.augment import geometry_of, resolve_augment
from segkd_distill.data.geometry import Geometry
from segkd_distill.data.user_transforms import UserTransforms

MEAN = (123.675, 116.28, 103.53)


def recipe(dataset: str = "cityscapes", **augment: object) -> Recipe:
    data, student = {"train": f"{dataset}:/data"}, {"model": "quickstart-mv2"}
    return parse_recipe({"data": data, "student": student, "augment": augment})


def resolved(dataset: str = "cityscapes", **augment: object) -> Recipe:
    return resolve_recipe(recipe(dataset, **augment))


@pytest.mark.parametrize(
    ("pipeline", "dataset", "crop", "short_side", "long_side", "pad_label"),
    [
        ("mmseg", "cityscapes", (512, 1024), None, None, 255),
        ("mmseg", "ade20k", (512, 512), 512, 2048, 255),
        ("mmseg", "pascal_context", (480, 480), 520, 520, 255),
        ("cirkd", "camvid", (360, 360), None, None, 255),
        ("attnfd", "pascal_voc", (513, 513), 513, None, 0),
    ],
)
def test_sizes_of_the_data_set(
    pipeline: str, dataset: str, crop: tuple[int, int], short_side: int, long_side: int, pad_label: int
) -> None:
    augment = resolved(dataset, pipeline=pipeline).augment
    assert (augment.crop, augment.short_side, augment.long_side, augment.pad_label) == (
        crop, short_side, long_side, pad_label
    )  # fmt: skip


def test_what_the_recipe_says_wins() -> None:
    augment = resolved("ade20k", pipeline="mmseg", crop=[64, 96], long_side=None).augment
    assert (augment.crop, augment.short_side, augment.long_side) == ((64, 96), 512, None)
    assert resolved("folder", pipeline="mmseg", crop=[64, 96]).augment.crop == (64, 96)
    with pytest.raises(SegkdError, match=r"mmseg has no crop for folder .* give --imgsz HxW"):
        resolved("folder", pipeline="mmseg")


def test_nothing_is_filled_in_without_a_pipeline() -> None:
    assert resolve_augment(recipe("ade20k")) == recipe("ade20k").augment.model_dump(by_alias=True)


def test_resolving_is_done_once(tmp_path: Path) -> None:
    for one in (resolved("ade20k", pipeline="mmseg"), resolved("pascal_voc", pipeline="attnfd")):
        (tmp_path / "r.yaml").write_text(dump_recipe(one))
        assert resolve_recipe(load_recipe(tmp_path / "r.yaml")) == one


def test_a_file_becomes_part_of_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("- HorizontalFlip\n- RandomCrop: {height: 8, width: 12}\n")
    one = resolved(file=str(path), crop=[8, 12])
    assert one.augment.file is None and not one.augment.photometric
    assert one.augment.transforms == [{"HorizontalFlip": {}}, {"RandomCrop": {"height": 8, "width": 12}}]
    path.unlink()
    (tmp_path / "r.yaml").write_text(dump_recipe(one))
    assert resolve_recipe(load_recipe(tmp_path / "r.yaml")) == one
    assert geometry_of(one, (8, 12), MEAN) == UserTransforms(
        (8, 12), [{"HorizontalFlip": {}}, {"RandomCrop": {"height": 8, "width": 12}}]
    )


def test_wrong_transforms_are_found_before_any_data() -> None:
    with pytest.raises(SegkdError, match="unknown transform 'Flipp'"):
        resolved(transforms=["Flipp"])


def test_an_unknown_experiment_is_found_before_any_data() -> None:
    with pytest.raises(SegkdError, match=r"unknown experiment 'bpkd-pspnet-r18-citiscapes'; did you mean"):
        resolve_recipe(parse_recipe({**recipe().model_dump(by_alias=True), "experiment": "bpkd-pspnet-r18-citiscapes"}))


def test_geometry() -> None:
    one = resolved("ade20k", pipeline="mmseg", flip=0.25, scale=[1.0, 2.0])
    assert geometry_of(one, (8, 12), MEAN) == Geometry(
        crop=(8, 12), scale=(1.0, 2.0), short_side=512, long_side=2048, flip=0.25, fill=(124, 116, 104)
    )
