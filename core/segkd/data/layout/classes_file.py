"""``classes.yaml``: what the values in a folder's masks mean.

Names alone number the classes 0, 1, 2, ... in this order:

    names: [road, person, car]

With more to say, each name has a mapping; ``id`` is its number in the masks (default: its position), ``color`` its RGB
colour, as a list or as ``"#rrggbb"``:

    names:
      road: {id: 7, color: [128, 64, 128]}
      person: {id: 24, color: "#dc143c"}
    ignore: [0, [0, 0, 0]]

``ignore`` lists numbers and colours of pixels without a class; the number 255 is one too, unless a class is declared
with it, as in ``object: {id: 255}`` for masks of 0 and 255. If every class has a ``color``, masks may also be RGB
pictures of these colours. The network's outputs follow the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segkd.data.base import IGNORE, LabelSpace
from segkd.data.formats.palette import voc_colour
from segkd.data.formats.value_map import Colour, ColourMap, ValueMap
from segkd.errors import SegkdError, unknown_name
from segkd.files.yaml_lines import read_yaml_file

_KEYS, _CLASS_KEYS = ("names", "ignore"), ("id", "color")


class MaskClasses(NamedTuple):
    """The meaning of mask files.

    Attributes:
        labels: the classes.
        values: class numbers to class indices.
        colours: RGB colours to class indices; None unless every class has a colour.
        declared: class number -> the class's name and colour, for classes that have a colour.
    """

    labels: LabelSpace
    values: ValueMap
    colours: ColourMap | None
    declared: Mapping[int, tuple[str, Colour]]


class _Entry(NamedTuple):
    name: str
    value: int
    colour: Colour | None


def read_classes(path: Path) -> MaskClasses:
    """Read a ``classes.yaml``.

    Raises:
        SegkdError: naming the file, if it is missing, no YAML, has unknown keys, or says something twice.
    """
    document = _load(path)
    entries = _entries(path, document.get("names"))
    ignored_values, ignored_colours = _ignored(path, document.get("ignore", []))
    if all(entry.value != IGNORE for entry in entries):
        ignored_values.add(IGNORE)
    colours = [entry.colour for entry in entries if entry.colour is not None]
    _require_distinct(path, "number", [entry.value for entry in entries] + sorted(ignored_values))
    _require_distinct(path, "colour", colours + sorted(ignored_colours))

    palette = tuple(entry.colour or voc_colour(index + 1) for index, entry in enumerate(entries))
    labels = LabelSpace(tuple(entry.name for entry in entries), palette)
    values = {entry.value: index for index, entry in enumerate(entries)} | dict.fromkeys(ignored_values, IGNORE)
    colour_map = None
    if len(colours) == len(entries):
        indices = {colour: index for index, colour in enumerate(colours)}
        colour_map = ColourMap(indices | dict.fromkeys(ignored_colours, IGNORE))
    declared = {entry.value: (entry.name, entry.colour) for entry in entries if entry.colour is not None}
    return MaskClasses(labels, ValueMap(values), colour_map, declared)


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise SegkdError(f"no {path}; write the class names there, as in `names: [road, person, car]`")
    document, _ = read_yaml_file(path)
    if not isinstance(document, dict) or "names" not in document:
        raise SegkdError(f"{path}: expected the key names, as in `names: [road, person, car]`")
    _require_known(path, "key", document, _KEYS)
    return document


def _entries(path: Path, names: Any) -> list[_Entry]:
    if not isinstance(names, (list, dict)) or not 1 <= len(names) <= IGNORE:
        raise SegkdError(f"{path}: names is a list or mapping of 1 to {IGNORE} class names")
    abouts = list(names.values()) if isinstance(names, dict) else [None] * len(names)
    entries = [_entry(path, position, name, abouts[position]) for position, name in enumerate(names)]
    _require_distinct(path, "name", [entry.name for entry in entries])
    return entries


def _entry(path: Path, position: int, name: Any, about: Any) -> _Entry:
    if not isinstance(name, str):
        raise SegkdError(f"{path}: class name {name!r} is no text; put it in quotes")
    about = {} if about is None else about
    if not isinstance(about, dict):
        raise SegkdError(f"{path}: class {name!r} has {about!r}; expected a mapping of {', '.join(_CLASS_KEYS)}")
    _require_known(path, f"key of class {name!r}", about, _CLASS_KEYS)
    value = about.get("id", position)
    if not _is_byte(value):
        raise SegkdError(f"{path}: class {name!r} has the id {value!r}; ids are 0 to 255")
    return _Entry(name, value, _colour(path, about["color"]) if "color" in about else None)


def _ignored(path: Path, ignore: Any) -> tuple[set[int], set[Colour]]:
    """The numbers and the colours without a class."""
    if not isinstance(ignore, list):
        raise SegkdError(f"{path}: ignore is a list of mask values, as in `ignore: [0]`; got {ignore!r}")
    values = {value for value in ignore if isinstance(value, int)}
    if not all(_is_byte(value) for value in values):
        raise SegkdError(f"{path}: ignore holds {max(values)}; mask values are 0 to 255")
    colours = {_colour(path, value) for value in ignore if not isinstance(value, int)}
    return values, colours


def _colour(path: Path, colour: Any) -> Colour:
    if isinstance(colour, str) and re.fullmatch("#[0-9a-fA-F]{6}", colour):
        red, green, blue = bytes.fromhex(colour[1:])
        return red, green, blue
    if isinstance(colour, list) and len(colour) == 3 and all(_is_byte(channel) for channel in colour):
        return colour[0], colour[1], colour[2]
    raise SegkdError(f'{path}: {colour!r} is no colour; write [128, 64, 128] or "#804080"')


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _require_distinct(path: Path, kind: str, values: Sequence[Any]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SegkdError(f"{path}: the {kind} {value!r} is declared twice")


def _require_known(path: Path, kind: str, mapping: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    for key in mapping:
        if key not in known:
            raise SegkdError(f"{path}: {unknown_name(kind, str(key), known)}")
