"""``extends: NAME``: a recipe that says only in what it differs from another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files.yaml_lines import read_yaml_file
from segkd.recipe.problems import Places

KEY = "extends"


def read_layers(path: Path, find: Callable[[str | Path], Path]) -> tuple[dict[str, Any], Places]:
    """Read a recipe file and those that it extends.

    A key replaces the same key of the same section of the extended recipe as a whole: lists and parts with options are
    not merged. A key without a value (null) leaves out the extended recipe's, and its default holds.

    Args:
        path: the recipe file.
        find: a shipped recipe's name or a file -> the file; files are relative to the one that names them.

    Returns:
        Plain values without ``extends``, and where each key was written.

    Raises:
        SegkdError: ``file:line: ...`` if a file cannot be read, is no recipe, or extends itself.
    """
    return _read(path, find, ())


def _read(path: Path, find: Callable[[str | Path], Path], above: tuple[Path, ...]) -> tuple[dict[str, Any], Places]:
    mapping, lines = read_yaml_file(path)
    if mapping is None:
        mapping = {}
    if not isinstance(mapping, dict):
        raise SegkdError(f"{path}: a recipe is made of key: value sections, this file holds {type(mapping).__name__}")
    places = Places(str(path), {key: f"{path}:{line}" for key, line in lines.items()})
    base = mapping.pop(KEY, None)
    if base is None:
        return mapping, places
    place = places.of((KEY,))
    if not isinstance(base, str) or not base:
        raise SegkdError(f"{place}: {KEY}: expected the name or file of a recipe, got {base!r}")
    base_path = _find_base(base, path, find, place)
    seen = (*above, path.resolve())
    if base_path.resolve() in seen:
        raise SegkdError(f"{place}: {KEY}: {base} leads back to this recipe")
    base_mapping, base_places = _read(base_path, find, seen)
    return _merge(base_mapping, mapping, base_places, places)


def _find_base(base: str, path: Path, find: Callable[[str | Path], Path], place: str) -> Path:
    beside = path.parent / Path(base).expanduser()
    if os.path.isfile(beside):  # unlike Path.is_file, False for a name that is too long
        return beside
    try:
        return find(base)
    except SegkdError as error:
        raise SegkdError(f"{place}: {KEY}: {error}") from error


def _merge(
    base: Mapping[str, Any], own: Mapping[str, Any], base_places: Places, places: Places
) -> tuple[dict[str, Any], Places]:
    merged = dict(base)
    keys = dict(base_places.keys)
    nulls = set(places.nulls)
    for name, value in own.items():
        sections = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = {**base[name], **value} if sections else value
        replaced = [(name, key) for key in value] if sections else [(name,)]
        before, after = (base[name], value) if sections else (base, own)
        nulls |= {path for path in replaced if after[path[-1]] is None and path[-1] in before}
        for path in replaced:
            for known in [known for known in keys if known[: len(path)] == path]:
                del keys[known]
    written = {key for key in base_places.nulls if key in keys}
    return merged, Places(places.source, {**keys, **places.keys}, nulls | written)
