"""What data mean is said in one line per kind; what makes numbers meaningless is a problem."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segkd.data.check import examine, open_splits
from segkd.data.checks.findings import Finding, find
from tests.core.data.files import folder, photo, save, save_palette

MASK = np.tile(np.arange(16, dtype=np.uint8) % 2, (12, 1))


def tree(root, *, mask=MASK, val=8, classes="names: [background, object]\n", image=photo):
    """Splits of different pictures; gives their data specification."""
    folder(root, [], classes)
    for split, count in (("train", 8), ("val", val)):
        for index in range(count):
            save(root / f"images/{split}/{index}.png", image(seed=index + 100 * (split == "val")))
            save(root / f"masks/{split}/{index}.png", mask)
    return f"folder:{root}"


def findings(spec: str) -> list[Finding]:
    splits, problems = open_splits(spec, "all")
    assert not problems
    return find(splits, {name: examine(dataset)[1] for name, dataset in splits.items()})


def test_sound_data_of_equal_names_have_no_finding(tmp_path) -> None:
    assert findings(tree(tmp_path)) == []


@pytest.mark.parametrize(
    ("mask", "classes", "words"),
    [
        (MASK * 255, "names: [background, object]", "background is the only class with a pixel, 50.0% of the pixels"),
        (MASK, "names: {object: {id: 1}}\nignore: [0]", "one class, object: there is nothing to learn"),
        (MASK * 0 + 255, "names: [background, object]", "no labelled pixel in train"),
    ],
)
def test_masks_that_leave_nothing_to_learn_are_problems(tmp_path, mask, classes, words) -> None:
    found = findings(tree(tmp_path, mask=mask, classes=classes))
    assert any(finding.problem and words in finding.what for finding in found)


def test_one_class_without_ignored_pixels_is_a_note(tmp_path) -> None:
    (finding,) = findings(tree(tmp_path, mask=MASK * 0))
    assert not finding.problem
    assert "background is the only class with a pixel, 0.0%" in finding.what


def test_255_declared_as_a_class_is_sound(tmp_path) -> None:
    classes = "names: {background: {id: 0}, object: {id: 255}}"
    assert findings(tree(tmp_path, mask=MASK * 255, classes=classes)) == []


def test_a_declared_class_without_a_pixel_is_named_with_its_split(tmp_path) -> None:
    spec = tree(tmp_path, classes="names: [background, object, car]")
    save(tmp_path / "masks/train/0.png", MASK * 2)
    (finding,) = findings(spec)
    assert not finding.problem
    assert finding.what.startswith("car has no pixel in val")


@pytest.mark.parametrize(("count", "problem"), [(1, True), (7, False)])
def test_few_validation_images(tmp_path, count, problem) -> None:
    (finding,) = findings(tree(tmp_path, val=count))
    assert finding.problem == problem
    assert f"val has {count} image" in finding.what


def test_equal_pictures_are_found_by_their_pixels_whatever_their_names(tmp_path) -> None:
    spec = tree(tmp_path)
    Image.open(tmp_path / "images/train/3.png").save(tmp_path / "images/val/5.png", compress_level=0)
    (finding,) = findings(spec)
    assert finding.problem
    assert "train and val share 1 picture with equal pixels" in finding.what
    assert "train/3.png" in finding.what
    assert "val/5.png" in finding.what


def test_channels_bits_and_orientation_are_said(tmp_path) -> None:
    spec = tree(tmp_path)
    save(tmp_path / "images/train/0.png", np.dstack([photo(), photo(seed=5)[..., 0]]))
    save(tmp_path / "images/train/1.png", np.full((12, 16), 16000, np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(photo(seed=77)).save(tmp_path / "images/val/0.png", exif=exif)
    notes = [finding.what for finding in findings(spec) if not finding.problem]
    assert len(notes) == 3
    for words in ("have a fourth channel", "the largest value is 16000 of 65535, so that 63", "an EXIF orientation"):
        assert any(words in note for note in notes)
    save(tmp_path / "images/train/1.png", np.full((12, 16), 1000, np.uint16))
    assert any("3 of" not in what and "4 grey levels" in what for problem, what in findings(spec) if problem)


@pytest.mark.parametrize(
    ("palette", "words"),
    [
        ([10, 10, 10, 200, 0, 0], ""),
        ([1, 2, 3, 4, 5, 6], ""),
        ([200, 0, 0, 10, 10, 10], "paints the number 0 (background) in the colour of object"),
    ],
)
def test_palettes_that_paint_other_classes_are_a_problem(tmp_path, palette, words) -> None:
    classes = "names:\n  background: {color: [10, 10, 10]}\n  object: {color: [200, 0, 0]}\n"
    spec = tree(tmp_path, classes=classes)
    for path in (tmp_path / "masks").rglob("*.png"):
        save_palette(path, MASK, palette)
    found = findings(spec)
    assert [finding.problem for finding in found] == [True] * bool(words)
    assert all(words in finding.what for finding in found)
