"""Tables from file values and colours to classes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from segkd.data.base import DataFileError
from segkd.data.formats.value_map import ColourMap, ValueMap, WideValueMap

MASK = Path("m.png")


def test_values_are_looked_up() -> None:
    values = np.array([[7, 24, 0], [255, 7, 7]], np.uint8)
    found = ValueMap({7: 0, 24: 1, 0: 255, 255: 255}).apply(values, MASK, "declare it")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [[0, 1, 255], [255, 0, 0]])


def test_undeclared_values_are_named() -> None:
    table = ValueMap({0: 0, 1: 1})
    with pytest.raises(DataFileError, match=r"m\.png: undeclared value 9; declare it"):
        table.apply(np.array([[0, 9]], np.uint8), MASK, "declare it")
    with pytest.raises(DataFileError, match="undeclared values 2, 3, 4, 5, 6 and 2 more; declare it"):
        table.apply(np.arange(9, dtype=np.uint8)[None], MASK, "declare it")


def test_a_full_table_has_nothing_undeclared() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(ValueMap({v: v for v in range(256)}).apply(values, MASK, ""), values)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint64])
def test_wide_values_are_looked_up(dtype) -> None:
    table = WideValueMap({0: 255, 300: 0, 459: 1})
    found = table.apply(np.array([[0, 300], [459, 300]], dtype), MASK, "declare it")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [[255, 0], [1, 0]])
    with pytest.raises(DataFileError, match=r"m\.png: undeclared values 1, 460, 65535; declare them"):
        table.apply(np.array([[0, 1, 65535, 460]], dtype), MASK, "declare them")


def test_wide_tables_take_bytes_too() -> None:
    table = WideValueMap({0: 255, 7: 0, 300: 1})
    np.testing.assert_array_equal(table.apply(np.array([[7, 0]], np.uint8), MASK, ""), [[0, 255]])
    with pytest.raises(DataFileError, match="undeclared value 44; declare it"):
        table.apply(np.array([[44]], np.uint8), MASK, "declare it")


def test_colours_are_looked_up() -> None:
    table = ColourMap({(128, 64, 128): 0, (220, 20, 60): 1, (0, 0, 0): 255})
    colours = np.array([[[220, 20, 60], [0, 0, 0]], [[128, 64, 128], [128, 64, 128]]], np.uint8)
    found = table.apply(colours, MASK, "declare it")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [[1, 255], [0, 0]])
    again = pickle.loads(pickle.dumps(table))
    np.testing.assert_array_equal(again.apply(colours, MASK, "declare it"), found)
    assert len(pickle.dumps(table)) < 10_000


def test_undeclared_colours_are_named() -> None:
    colours = np.array([[[1, 2, 3], [0, 0, 0], [255, 254, 253]]], np.uint8)
    with pytest.raises(DataFileError, match=r"undeclared colours \(1, 2, 3\), \(255, 254, 253\); declare them"):
        ColourMap({(0, 0, 0): 0}).apply(colours, MASK, "declare them")
