from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd_deploy.targets.predictions import read_labels, write_labels


def test_labels_come_back(tmp_path: Path) -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_labels(tmp_path / "labels.npz", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.npz"), labels)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "flipped", "other array", "array alone"])
def test_what_is_no_file_of_labels(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "labels.npz"
    write_labels(path, np.random.default_rng(0).integers(0, 19, (2, 64, 64), np.uint8))
    data = path.read_bytes()
    if kind == "other array":
        np.savez(path, other=np.zeros(3))
    elif kind == "array alone":
        np.save(tmp_path / "a.npy", np.zeros(3))
        (tmp_path / "a.npy").replace(path)
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
        path.write_bytes({"empty": b"", "text": b"labels", "cut": data[:middle], "flipped": flipped}[kind])
    with pytest.raises(SegkdError, match=r"labels\.npz: are no labels \(.*\); deploy again") as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)
