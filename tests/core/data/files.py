"""Small data sets on disk for these tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def save(path: Path, pixels: Pixels) -> Path:
    """Write pixels with Pillow, not with the code under test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_palette(path: Path, indices: Pixels, palette: list[int], bits: int = 8) -> Path:
    """Write a palette PNG."""
    picture = Image.fromarray(indices, mode="P") if bits == 8 else Image.fromarray(indices).convert("P")
    picture.putpalette(palette)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, bits=bits)
    return path


def cut_short(path: Path, keep: float = 0.5) -> Path:
    """Throw the end of a file away."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def photo(height: int = 12, width: int = 16, seed: int = 0) -> Pixels:
    """Random colours."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def cityscapes(root: Path, names: list[str], split: str = "val", suffix: str = "labelIds", value: int = 7) -> Path:
    """A Cityscapes tree with one label value per mask."""
    for name in names:
        city = name.split("_")[0]
        save(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", photo())
        save(root / "gtFine" / split / city / f"{name}_gtFine_{suffix}.png", np.full((12, 16), value, np.uint8))
    return root


def folder(root: Path, names: list[str], classes: str = "names: [road, person, car]\n", under: str = "") -> Path:
    """An image folder whose masks hold the classes 0, 1, 2 in columns."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.yaml").write_text(classes)
    for name in names:
        save(root / "images" / under / f"{name}.png", photo())
        save(root / "masks" / under / f"{name}.png", np.tile(np.arange(16, dtype=np.uint8) % 3, (12, 1)))
    return root


def save_list(path: Path, names: list[str], end: str = "\n") -> Path:
    """Write a split's list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{name}{end}" for name in names).encode())
    return path


def save_mat(path: Path, **variables: object) -> Path:
    """Write a MATLAB file, compressed as the published ones are."""
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables, do_compression=True)
    return path


def strip(values: list[int] | range, dtype: type[np.unsignedinteger] = np.uint8) -> NDArray[np.unsignedinteger]:
    """Label values in one row, twice, so that height and width differ."""
    return np.tile(np.array(values, dtype), (2, 1))


def jpeg(path: Path, width: int, height: int = 2) -> Path:
    """A picture of this size."""
    return save(path, photo(height, width))
