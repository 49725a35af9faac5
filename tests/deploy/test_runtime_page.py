"""docs/runtime.md is a contract that programs in other languages are written against: what it names must exist."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np

from segkd.manifest import Geometry, Input, Labels, Manifest, Variant
from segkd_deploy.tensorrt.engine_cache import EngineKey
from tests.deploy.artifacts import make_artifact

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "runtime.md").read_text(encoding="utf-8")


def rows(header: str) -> dict[str, str]:
    """First cell -> second of the table that begins with a header."""
    lines = PAGE.partition(header)[2].splitlines()[2:]
    table = lines[: next(index for index, line in enumerate(lines) if not line.startswith("|"))]
    return {cells[1].strip(" `"): cells[2] for cells in (line.split("|") for line in table)}


def test_every_key_of_the_table_is_in_the_manifest() -> None:
    named = rows("| key | what |")
    fields = {field.alias or name for name, field in Manifest.model_fields.items()}
    assert {key.partition(".")[0] for key in named} <= fields
    for key, part in (("variants.NAME", Variant), ("input", Input), ("label_space", Labels), ("geometry", Geometry)):
        words = set(re.findall(r"`([a-z_]+)`", named[key])) - {"s8", "u8"}
        assert words and words <= set(part.model_fields), key


def test_the_engine_key_is_the_one_that_is_described() -> None:
    listed = PAGE.partition("writes it: ")[2].partition(".")[0]
    assert re.findall(r"`(\w+)`", listed) == sorted(field.name for field in dataclasses.fields(EngineKey))
    key = EngineKey("a" * 64, "tensorrt", "10.3.0", "8.7", None, ("tf32=False",))
    # As a program in another language would write it.
    text = (
        '{"flags": ["tf32=False"], "graph_sha256": "%s", "l4t": null, "library": "tensorrt", "sm": "8.7", '
        '"version": "10.3.0"}'
    ) % ("a" * 64)
    assert key.digest() == hashlib.sha256(text.encode()).hexdigest()


def test_reference_arrays_are_read_without_numpy(tmp_path: Path) -> None:
    """The header of ``10 + header_len`` bytes, then the frames as the table says."""
    folder = make_artifact(tmp_path / "artifact")
    manifest = json.loads((folder / "manifest.json").read_text())
    content = (folder / manifest["reference"]["files"]["frames"]).read_bytes()
    start = 10 + int.from_bytes(content[8:10], "little")
    count, height_px, width_px = manifest["reference"]["count"], 16, 24
    frames = np.frombuffer(content[start:], np.uint8).reshape(count, height_px, width_px, 3)
    np.testing.assert_array_equal(frames, np.load(folder / "reference" / "frames.npy"))
