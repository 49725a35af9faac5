"""Training data that leave nothing to learn are refused; what scores mean is said in one line."""

from __future__ import annotations

import numpy as np
import pytest

from segkd.data import open_dataset
from segkd.errors import SegkdError
from segkd_distill.data.meaning import require_two_classes, say_what_a_crop_holds, say_what_scores_mean
from tests.core.data.files import folder, photo, save

NAMES = [f"f{index}" for index in range(9)]


@pytest.mark.parametrize(("value", "words"), [(255, "no class: every pixel"), (1, "only the class person")])
def test_masks_of_fewer_than_two_classes_are_refused(tmp_path, value, words) -> None:
    root = folder(tmp_path, NAMES)
    dataset = open_dataset(f"folder:{root}", "all")
    require_two_classes(dataset)
    for name in NAMES:
        save(root / f"masks/{name}.png", np.full((12, 16), value, np.uint8))
    with pytest.raises(SegkdError, match=words):
        require_two_classes(dataset)


def test_what_scores_mean_is_one_line_and_nothing_where_all_is_well(tmp_path, capsys) -> None:
    root = folder(tmp_path, NAMES)
    whole = open_dataset(f"folder:{root}", "all")
    say_what_scores_mean(whole, "folder:x", whole)
    assert capsys.readouterr().err == ""
    save(root / "images/f0.png", np.dstack([photo(), photo()[..., 0]]))
    save(root / "masks/f0.png", np.full((12, 16), 255, np.uint8))
    one = open_dataset(f"folder:{root},split=all,frames=:1")
    say_what_scores_mean(one, "folder:x", whole)
    (line,) = capsys.readouterr().err.splitlines()
    for words in ("val has 1 image:", "1 of 8 training pictures looked at have a fourth channel", "no pixel of val"):
        assert words in line


@pytest.mark.parametrize(
    ("crop", "words"),
    [
        ((100, 200), ""),
        (
            (200, 200),
            "100x200: 50% of it is padding without labels; --imgsz 100x200",
        ),
        ((50, 400), "50% of it is padding without labels; --imgsz 50x200 fits into it"),
    ],
)
def test_a_crop_larger_than_the_pictures_is_said(crop, words, capsys) -> None:
    say_what_a_crop_holds(crop, (100, 200))
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == bool(words)
