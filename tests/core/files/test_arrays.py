from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd.files.arrays import array_bytes, map_array


def test_an_array_and_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6, dtype=np.float16).reshape(2, 3))
    np.testing.assert_array_equal(map_array(path), [[0, 1, 2], [3, 4, 5]])
    assert array_bytes(path) == path.stat().st_size
    os.truncate(path, 1 << 20)
    assert array_bytes(path) != path.stat().st_size


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x01\x00\x08\x00" + b"{'a': 1}",
        b"\x93NUMPY\x01\x00\x08\x00" + b"((((((((",
        b"\x93NUMPY\x09\x00\x08\x00" + b"{'a': 1}",
        b"\x93NUMPY\x01\x00\x46\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999999,)}",
        b"\x93NUMPY\x01\x00\x46\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (-99, -99, -99, 1)}",
    ],
)
def test_what_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(SegkdError, match=r"a\.npy: is no array of numbers \(.*\); export it again"):
        map_array(tmp_path / "a.npy")
    assert array_bytes(tmp_path / "a.npy") is None


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("pipe.npy", "missing.npy", "."):
        with pytest.raises(SegkdError):
            map_array(tmp_path / name)
