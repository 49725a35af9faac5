"""Published numbers: whole, plausible, and equal to what the sources print where they were copied by hand here."""

from __future__ import annotations

import pytest

from segkd.data.base import DATASETS
from segkd.errors import SegkdError
from segkd.recipe import parse_recipe
from segkd.recipe.names import check_names
from segkd.recipe.published import Score, experiment, experiments, published_numbers, table_lines

# Copied from the tables, one row each, independently of the file under test: teacher, student, best method.
ROWS = {
    "bpkd-pspnet-r18-cityscapes": (79.74, 74.23, ("bpkd", 77.57)),
    "bpkd-hrnet-w18s-cityscapes": (80.65, 75.31, ("bpkd", 78.58)),
    "bpkd-deeplabv3plus-mv2-cityscapes": (80.98, 75.29, ("cwd", 77.97)),
    "bpkd-isanet-r18-cityscapes": (80.61, 73.62, ("cirkd", 75.41)),
    "bpkd-pspnet-r18-ade20k": (44.39, 33.30, ("cwd", 37.02)),
    "bpkd-hrnet-w18s-ade20k": (42.02, 31.38, ("skds", 32.57)),
    "bpkd-deeplabv3plus-mv2-ade20k": (45.47, 31.56, ("ifvd", 32.11)),
    "bpkd-isanet-r18-ade20k": (43.80, 31.15, ("bpkd", 38.73)),
    "bpkd-pspnet-r18-context": (52.47, 43.79, ("ifvd", 45.97)),
    "bpkd-hrnet-w18s-context": (51.12, 40.62, ("bpkd", 43.96)),
    "bpkd-deeplabv3plus-mv2-context": (53.20, 41.01, ("bpkd", 46.23)),
    "bpkd-isanet-r18-context": (53.41, 44.05, ("ifvd", 46.75)),
    "bpkd-pspnet-r18-ade20k-40k": (44.39, 29.42, ("bpkd", 35.87)),
    "bpkd-pspnet-r18-cityscapes-40k": (79.74, 68.99, ("cwd", 74.29)),
    "bpkd-pspnet-r18-context-40k": (52.47, 43.07, ("bpkd", 47.16)),
    "bpkd-isanet-r18-context-40k": (52.94, 41.08, ("skds", 42.87)),
    "bpkd-pspnet-r18-ade20k-scratch": (44.39, 17.11, ("bpkd", 27.46)),
    "cirkd-deeplabv3-r18-cityscapes": (78.07, 74.21, ("afdcd", 77.03)),
    "cirkd-deeplabv3-mv2-cityscapes": (78.07, 73.12, ("cwd", 74.66)),
    "cirkd-segformer-b0-cityscapes": (81.23, 75.58, ("dsd", 76.62)),
    "cirkd-pspnet-r18-voc": (77.67, 73.33, ("afdcd", 76.14)),
    "cirkd-deeplabv3-r18-camvid": (69.84, 66.92, ("cirkd", 68.21)),
    "cirkd-deeplabv3-r18-coco-stuff": (38.71, 32.60, ("kd", 32.88)),
    "attnfd-deeplabv3plus-r18-voc": (77.85, 67.50, ("attnfd", 73.09)),
    "attnfd-deeplabv3plus-r18-cityscapes": (77.66, 64.09, ("attnfd", 73.04)),
    "cwd-pspnet-r18-cityscapes": (78.56, 69.10, ("cwd", 74.87)),
    "mmrazor-pspnet-r18-cityscapes": (79.76, 74.87, ("cwd", 75.54)),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    found, (teacher, student, (method, miou)) = experiment(name), ROWS[name]
    assert found.teacher_score is not None and found.teacher_score.miou == teacher
    assert found.student_score is not None and found.student_score.miou == student
    assert found.methods[method].miou == miou


def test_the_table_is_whole_and_plausible() -> None:
    assert len(experiments()) == 69
    for found in experiments().values():
        assert found.dataset in DATASETS and found.split in ("val", "test") and found.protocol and found.title
        for score in (found.teacher_score, found.student_score, *found.methods.values(), *found.others.values()):
            if score is not None:
                assert 15 < score.miou < 85
                assert score.macc is None or score.miou < score.macc < 90
        student, teacher = found.student_score, found.teacher_score
        if student is not None and teacher is not None:
            assert student.miou < teacher.miou


def test_a_recipe_knows_its_numbers() -> None:
    assert published_numbers(parse_recipe({})) is None
    numbers = published_numbers(parse_recipe({"experiment": "bpkd-pspnet-r18-cityscapes"}))
    assert numbers is not None and numbers["unit"] == "percent" and numbers["split"] == "val"
    assert numbers["teacher"] == {"model": "pspnet-r101", "miou": 79.74, "macc": 86.56}
    assert numbers["methods"]["bpkd"] == {"miou": 77.57, "macc": 84.47}
    with pytest.raises(SegkdError, match=r"experiment: unknown experiment 'bpkd'; "):
        published_numbers(parse_recipe({"experiment": "bpkd"}))
    with pytest.raises(SegkdError, match=r"^mine\.yaml: experiment: unknown experiment"):
        check_names(parse_recipe({"experiment": "bpkd"}), "mine.yaml")


def test_lines() -> None:
    lines = table_lines(experiment("attnfd-deeplabv3plus-r18-voc"))
    assert lines[0].startswith("published for attnfd-deeplabv3plus-r18-voc: README of")
    assert "(pascal_voc val; images and labels resized" in lines[1]
    assert any(line.split() == ["attnfd", "mIoU", "73.09", "(+-0.06)"] for line in lines)
    assert "no numbers are published" in table_lines(experiment("attnfd-deeplabv3plus-mv2-voc"))
    assert Score(1.0, 2.0).to_dict() == {"miou": 1.0, "macc": 2.0}
