"""Images beside their masks."""

from __future__ import annotations

import numpy as np

from segkd.data import open_dataset
from segkd.data.picture_grid import IGNORED_COLOUR, coloured, picture_grid
from tests.core.data.files import folder, photo, save


def test_masks_in_their_colours(tmp_path) -> None:
    labels = open_dataset(f"folder:{folder(tmp_path, ['a'])}", "all").labels
    picture = coloured(np.array([[0, 2], [255, 1]], np.uint8), labels)
    np.testing.assert_array_equal(
        picture, [[labels.palette[0], labels.palette[2]], [IGNORED_COLOUR, labels.palette[1]]]
    )


def test_a_grid_of_different_sizes_with_a_legend(tmp_path) -> None:
    root = folder(tmp_path, ["a", "b", "c"])
    save(root / "images/a.png", np.full((32, 32, 3), 90, np.uint8))
    save(root / "masks/a.png", np.full((32, 32), 2, np.uint8))
    save(root / "images/b.png", photo(16, 64))
    save(root / "masks/b.png", np.full((16, 64), 255, np.uint8))
    dataset = open_dataset(f"folder:{root}", "all")
    grid = picture_grid(dataset, [0, 1])
    # A row as high as its highest cell, a gap, and one row of names.
    assert grid.shape == (320 + 6 + 20, 2 * (640 + 6), 3)
    assert (grid[:320, :320] == 90).all()
    assert (grid[:320, 320:640] == dataset.labels.palette[2]).all()
    assert (grid[80:320, 646:] == 255).all()
    assert (grid[326 + 5, 5] == dataset.labels.palette[2]).all()
    assert picture_grid(dataset, [0, 1, 2]).shape[0] > grid.shape[0]


def test_frames_without_masks(tmp_path) -> None:
    save(tmp_path / "a.png", photo(10, 20))
    assert picture_grid(open_dataset(f"images:{tmp_path}"), [0]).shape == (160 + 6, 2 * (320 + 6), 3)


def test_more_classes_than_fit_in_a_row_of_names(tmp_path) -> None:
    names = [f"a rather long name of class {index}" for index in range(40)]
    root = folder(tmp_path, ["a"], f"names: {names}\n")
    save(root / "images/a.png", photo(10, 40))
    save(root / "masks/a.png", np.tile(np.arange(40, dtype=np.uint8), (10, 1)))
    grid = picture_grid(open_dataset(f"folder:{root}", "all"), [0], columns=1)
    assert grid.shape[1] == 646
    assert grid.shape[0] == 80 + 6 + 10 * 20
