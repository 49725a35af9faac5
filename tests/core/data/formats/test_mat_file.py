"""Label maps in MATLAB files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from segkd.data.base import DataFileError
from segkd.data.formats.decode import DamagedFileError
from segkd.data.formats.mat_file import ClassMat, read_label_map
from segkd.data.formats.value_map import WideValueMap
from segkd.errors import MissingExtra
from tests.core.data.files import save_mat, strip


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float64])
def test_label_maps_of_any_number_type(tmp_path, dtype) -> None:
    values = np.arange(6).reshape(2, 3)
    read = read_label_map(save_mat(tmp_path / "a.mat", S=values.astype(dtype)), ("S",))
    np.testing.assert_array_equal(read, values)
    assert read.dtype.kind in "iu"
    assert read.flags.c_contiguous


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (1, 1)])
def test_thin_maps_keep_their_two_dimensions(tmp_path, shape) -> None:
    path = save_mat(tmp_path / "a.mat", GTcls={"Segmentation": np.ones(shape, np.uint8), "Boundaries": 1})
    assert read_label_map(path, ("GTcls", "Segmentation")).shape == shape


def test_classes_of_a_file(tmp_path) -> None:
    path = save_mat(tmp_path / "a.mat", S=strip([0, 300], np.uint16))
    np.testing.assert_array_equal(ClassMat(("S",), WideValueMap({0: 255, 300: 2}), "")(path), strip([255, 2]))


@pytest.mark.parametrize(
    ("variables", "keys", "message"),
    [
        ({"T": strip([1])}, ("S",), "holds no S; is it another data set's file"),
        ({"S": {"other": 1}}, ("S", "Segmentation"), "holds no Segmentation"),
        ({"S": strip([1])}, ("S", "Segmentation"), "holds no Segmentation"),
        ({"S": np.zeros((2, 2, 3), np.uint8)}, ("S",), "S is no label map of height x width"),
        ({"S": np.array([[0.5, 1.0]])}, ("S",), r"S is no map of whole numbers from 0 \(float64\)"),
        ({"S": np.array([[np.nan, 1.0]])}, ("S",), "S is no map of whole numbers"),
        ({"S": np.array([[-1, 1]])}, ("S",), "S is no map of whole numbers"),
        ({"S": "text"}, ("S",), "S is no label map"),
    ],
)
def test_files_without_a_label_map(tmp_path, variables, keys, message) -> None:
    with pytest.raises(DataFileError, match=rf"a\.mat: .*{message}"):
        read_label_map(save_mat(tmp_path / "a.mat", **variables), keys)


def test_damaged_files(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 9, (40, 50), dtype=np.uint8)
    path = save_mat(tmp_path / "a.mat", S=noise)
    whole = path.read_bytes()
    for keep in (0, 10, 127, 128, 140, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(DataFileError, match=r"a\.mat: (not a MATLAB file|holds no S|cannot be read)"):
            read_label_map(path, ("S",))
    path.write_bytes(b"\x89PNG" * 100)
    with pytest.raises(DamagedFileError, match="not a MATLAB file, or a damaged one"):
        read_label_map(path, ("S",))
    with pytest.raises(DamagedFileError, match=r"gone\.mat: cannot be read \(No such file"):
        read_label_map(tmp_path / "gone.mat", ("S",))


def test_matlab_7_3_files_are_named_as_such(tmp_path) -> None:
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(header + b"\x89HDF\r\n\x1a\n".ljust(512))
    with pytest.raises(DataFileError, match=r"a\.mat: a MATLAB 7\.3 file \(HDF5\); save it with -v7"):
        read_label_map(tmp_path / "a.mat", ("S",))


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingExtra, match=r"scipy.* is not installed: pip install .*\[data\]"):
        read_label_map(Path("a.mat"), ("S",))
