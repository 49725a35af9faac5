"""The tables of classes: counts, and that no name or colour stands twice where it should not."""

from __future__ import annotations

from collections import Counter

from segkd.data.readers.labels import ade20k, camvid, coco_stuff, pascal_context, pascal_voc
from segkd.data.readers.labels.listed import hex_colours, listed_names


def test_tables_have_the_published_number_of_classes() -> None:
    assert len(ade20k.NAMES) == len(ade20k.PALETTE) == 150
    assert len(pascal_voc.NAMES) == len(pascal_voc.PALETTE) == 21
    assert len(pascal_context.CLASSES) == 59
    assert len(pascal_context.PALETTE_60) == 60
    assert len(coco_stuff.LABELS) == 182
    assert len(coco_stuff.SCORED) == 171
    assert len(coco_stuff.NEVER_ANNOTATED) == 11
    assert len(camvid.COLOURS) == 32
    assert len(camvid.GROUPS) == 11


def test_names_stand_once_and_are_single_lines() -> None:
    tables = (ade20k.NAMES, pascal_voc.NAMES, tuple(pascal_context.CLASSES.values()), coco_stuff.LABELS)
    for names in tables:
        assert len(set(names)) == len(names)
        assert all(name == " ".join(name.split()) and name for name in names)


def test_colours_stand_once_but_for_one_of_ade20k() -> None:
    assert [colour for colour, count in Counter(ade20k.PALETTE).items() if count > 1] == [(140, 140, 140)]
    assert len(set(pascal_voc.PALETTE)) == 21
    assert len({coco_stuff.colour(label) for label in range(1, 183)}) == 182


def test_stuff_is_in_alphabetical_order_as_published() -> None:
    stuff = coco_stuff.LABELS[91:]
    assert len(stuff) == 91
    assert list(stuff) == sorted(stuff)
    assert stuff[0] == "banner"


def test_lines_of_text_become_tables() -> None:
    assert listed_names("\na b, c,\nd\ne\n") == ("a b", "c", "d e")
    assert hex_colours("787878\nff0007") == ((120, 120, 120), (255, 0, 7))
