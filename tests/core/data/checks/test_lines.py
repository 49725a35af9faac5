"""Forty equal problems are one line."""

from __future__ import annotations

import numpy as np

from segkd.data.check import examine, open_splits
from segkd.data.checks.lines import printable, problem_lines
from tests.core.data.files import cut_short, folder, save

NAMES = [f"f{index}" for index in range(10)]


def lines(root) -> list[str]:
    splits, problems = open_splits(f"folder:{root}", "all")
    facts = {}
    for name, dataset in splits.items():
        wrong, facts[name] = examine(dataset)
        problems += wrong
    return problem_lines(problems, facts)


def test_an_undeclared_value_is_one_line_with_its_share(tmp_path) -> None:
    for split in ("train", "val"):
        folder(tmp_path, NAMES, "names: [a, b]", under=split)  # the masks hold 0, 1 and 2
    (line,) = lines(tmp_path)
    assert "undeclared value 2 in 20 of 20 masks, 31.2% of their pixels; declare it in" in line


def test_problems_of_one_kind_are_one_line_with_count_and_example(tmp_path) -> None:
    for split in ("train", "val"):
        folder(tmp_path, NAMES, under=split)
    for name in NAMES[:3]:
        (tmp_path / f"masks/train/{name}.png").unlink()
        cut_short(tmp_path / f"images/val/{name}.png")
    save(tmp_path / "masks/val/f9.png", np.zeros((5, 16), np.uint8))
    without, cut, size = lines(tmp_path)
    assert "f0.png: image without a mask" in without
    assert "(3 such files in all" in without
    assert "(3 such files in all" in cut
    assert "such file" not in size


def test_what_no_terminal_shows_is_escaped() -> None:
    assert printable("a\udcffb\x1b\n") == "a\\udcffb\\x1b\\n"
