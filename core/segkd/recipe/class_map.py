"""``--class-map FILE|NAME=NAME[,NAME=NAME...]``: which class of the data each class of a network becomes."""

from __future__ import annotations

import os
from pathlib import Path

from segkd.errors import SegkdError
from segkd.files.small_files import one_line
from segkd.files.yaml_lines import read_yaml_file

LEFT_OUT = "ignore"
"""What a class of the network is mapped to, as an alternative to null, when the data have nothing like it."""


def parse_class_map(text: str) -> dict[str, str | None]:
    """The map of a command line, as ``teacher.class_map`` of a recipe holds it.

    Args:
        text: ``void=ignore,van=car``, or a YAML or JSON file of ``void: null``, ``van: car``.

    Returns:
        Class of the network -> class of the data, None for one that is left out.

    Raises:
        SegkdError: for a file that cannot be read, or a text of another form.
    """
    if os.path.isfile(os.path.expanduser(text)):
        return _from_file(Path(text).expanduser())
    if "=" not in text:
        raise SegkdError(
            f"--class-map {one_line(text)}: no such file, and no map; write NAME=NAME[,NAME=NAME...], as in void=ignore"
        )
    mapping: dict[str, str | None] = {}
    for pair in text.split(","):
        name, _, target = (part.strip() for part in pair.partition("="))
        if not name or not target:
            raise SegkdError(f"--class-map: {one_line(pair)!r} is no NAME=NAME; a name with a comma needs a FILE")
        if name in mapping:
            raise SegkdError(f"--class-map: {one_line(name)!r} is mapped twice")
        mapping[name] = None if target in (LEFT_OUT, "null") else target
    return mapping


def _from_file(path: Path) -> dict[str, str | None]:
    values = read_yaml_file(path)[0]
    plain = isinstance(values, dict) and all(target is None or isinstance(target, str) for target in values.values())
    if not plain or not values:
        raise SegkdError(
            f"--class-map {one_line(path)}: expected lines of NAME: NAME, or NAME: null to leave a class out"
        )
    return {name: None if target == LEFT_OUT else target for name, target in values.items()}
