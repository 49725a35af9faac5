"""Street scenes as a Cityscapes folder tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.street_scenes.scene import scene
from segkd.errors import SegkdError
from segkd.files import read_json, write_json
from segkd.files.unfinished import replace_folder, unfinished

CITIES = {"train": "synthburg", "val": "synthstadt"}
MARKER = "segkd-synth.json"
_SCHEMA = 1


@dataclass(frozen=True)
class SyntheticTree:
    """What a tree of street scenes holds; kept in its ``segkd-synth.json``, which is written last.

    Attributes:
        train: training scenes.
        val: validation scenes.
        height_px: their height.
        width_px: their width.
        seed: the seed of the whole tree.
        hard: see :func:`segkd.data.street_scenes.scene`.
        thickness: see there.
    """

    train: int
    val: int
    height_px: int
    width_px: int
    seed: int
    hard: float
    thickness: float

    def series_seed(self, split: str) -> int:
        """The seed of a split's scenes: no two splits of any two trees share one."""
        return 2 * self.seed + {"train": 1, "val": 2}[split]


def write_tree(
    out: Path,
    train: int,
    val: int,
    imgsz: tuple[int, int],
    seed: int,
    *,
    hard: float = 0.5,
    thickness: float = 1.7,
    force: bool = False,
    on_scene: Callable[[], object] = lambda: None,
) -> bool:
    """Write street scenes as ``leftImg8bit`` and ``gtFine/*_labelIds.png``, for the reader of Cityscapes.

    The tree grows in a hidden folder beside ``out`` and gets its name when it is complete. A complete tree of the same
    settings is kept as it is.

    Args:
        out: the folder to write; must be missing, empty, or an earlier tree.
        train: how many training scenes.
        val: how many validation scenes.
        imgsz: (height, width) in pixels.
        seed: 0 or more.
        hard: strength of texture, weather, light and noise.
        thickness: factor on the size of thin things.
        force: whether to replace an earlier tree of other settings. Nothing else is ever replaced.
        on_scene: called after every scene.

    Returns:
        True if the tree was written, False if it was there already.

    Raises:
        SegkdError: if ``out`` holds something else or cannot be written, or an argument is out of range.
    """
    if min(train, val, seed) < 0 or train + val == 0:
        raise SegkdError(f"street scenes: expected counts and seed of 0 or more, got {train} + {val}, seed {seed}")
    tree = SyntheticTree(train, val, *imgsz, seed=seed, hard=float(hard), thickness=float(thickness))
    out = out.expanduser().resolve()
    if _is_complete(out, tree):
        return False
    _require_replaceable(out, force)
    try:
        with unfinished(out, folder=True) as growing:
            _write_scenes(growing, tree, on_scene)
            write_json(growing / MARKER, {"schema": _SCHEMA, **asdict(tree)})
            replace_folder(growing, out)
    except OSError as error:
        raise SegkdError(f"{out}: cannot be written: {error.strerror or error}; name another folder") from error
    return True


def _write_scenes(root: Path, tree: SyntheticTree, on_scene: Callable[[], object]) -> None:
    for split, count in (("train", tree.train), ("val", tree.val)):
        city = CITIES[split]
        images, masks = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(count):
            image, label_ids = scene(
                tree.series_seed(split), index, tree.height_px, tree.width_px, hard=tree.hard, thickness=tree.thickness
            )
            name = f"{city}_{index:06d}_000019"
            (images / f"{name}_leftImg8bit.png").write_bytes(_png(cv2.cvtColor(image, cv2.COLOR_RGB2BGR)))
            (masks / f"{name}_gtFine_labelIds.png").write_bytes(_png(label_ids))
            on_scene()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    # Without parameters: naming a compression level turns OpenCV's fast strategy off (half as fast to write and read).
    _, encoded = cv2.imencode(".png", pixels)
    data: bytes = encoded.tobytes()
    return data


def _is_complete(out: Path, tree: SyntheticTree) -> bool:
    """Whether the folder holds this very tree, with every file there."""
    if _marker(out) != {"schema": _SCHEMA, **asdict(tree)}:
        return False
    return all(
        sum(1 for _ in (out / kind / split / CITIES[split]).glob("*.png")) == count
        for kind in ("leftImg8bit", "gtFine")
        for split, count in (("train", tree.train), ("val", tree.val))
    )


def _marker(out: Path) -> Any:
    return read_json(out / MARKER) if (out / MARKER).is_file() else None


def _require_replaceable(out: Path, force: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise SegkdError(f"{out} is a file; name a folder")
    if not any(out.iterdir()):
        return
    if not (out / MARKER).is_file():
        raise SegkdError(f"{out} holds other files (no {MARKER}); name a new or empty folder")
    if not force:
        raise SegkdError(
            f"{out} holds street scenes of other settings; replace them with --force, or name another folder"
        )
