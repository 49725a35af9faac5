"""YAML that keeps the line of every key, refuses a key written twice, and reads numbers as people mean them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from segkd.errors import SegkdError
from segkd.files.small_files import MAX_DEPTH, MAX_DIGITS, one_line, read_text

# A key's path inside the file, as in ("methods", 0, "cwd").
KeyPath = tuple[str | int, ...]

# Values that a document may hold, those behind aliases counted every time they are used.
MAX_VALUES = 20_000
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq"))

# YAML 1.1, which PyYAML reads, takes 1e-3 for text and `off` for false; these are YAML 1.2's rules.
_SCALARS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), "~nN\0"),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$"),
        "-+0123456789.",
    ),
)


class _Loader(yaml.SafeLoader):
    """Reads scalars by the table above alone; refuses documents that are too deep or too large."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH or self._nodes > 2 * MAX_VALUES:
            limit = f"{MAX_DEPTH} levels" if self._depth > MAX_DEPTH else f"{MAX_VALUES} values"
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"more than {limit}; no file of segkd has so many", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Writes lists of scalars in one line; quotes text that either version of YAML would take for something else."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, ["" if character == "\0" else character for character in _first])
    if _tag.endswith("float"):
        _Dumper.add_implicit_resolver(_tag, _pattern, list(_first))


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(value, (dict, list)) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


_Dumper.add_representer(list, _represent_list)


def read_yaml(text: str, source: str) -> tuple[Any, dict[KeyPath, int]]:
    """Read one YAML document.

    Args:
        text: the document.
        source: its name in error messages.

    Returns:
        The value, and the 1-based line of every key and list item by its path.

    Raises:
        SegkdError: ``source:line: ...`` for text that is not YAML, a key written twice, or a key that is no text.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[KeyPath, int] = {}
        value = None if node is None else _Builder(loader, source, lines).build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}" if mark else source
        raise SegkdError(f"{place}: not valid YAML: {one_line(error.problem or error)}") from error
    except yaml.YAMLError as error:
        raise SegkdError(f"{source}: not valid YAML: {one_line(' '.join(str(error).split()))}") from error
    finally:
        if loader is not None:
            loader.dispose()
    return value, lines


def read_yaml_file(path: Path) -> tuple[Any, dict[KeyPath, int]]:
    """Read a file with one YAML document; see :func:`read_yaml`.

    Raises:
        SegkdError: for a file that ``segkd.files.small_files.read_text`` refuses, and as :func:`read_yaml`.
    """
    return read_yaml(read_text(path), str(path))


def parse_scalar(text: str) -> Any:
    """The value of a short YAML text, as after ``--set key=``.

    Raises:
        yaml.YAMLError: if it is not YAML.
    """
    try:
        return read_yaml(text, "value")[0]
    except SegkdError as error:
        raise yaml.YAMLError(str(error)) from error


def write_yaml(value: Any) -> str:
    """Plain values as YAML text, keys in their order; :func:`read_yaml` gives the same values back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Builder:
    """Turns YAML nodes into plain values while noting lines."""

    def __init__(self, loader: _Loader, source: str, lines: dict[KeyPath, int]) -> None:
        self._loader = loader
        self._source = source
        self._lines = lines
        self._open: set[int] = set()
        self._values = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        place = f"{self._source}:{node.start_mark.line + 1}"
        self._values += 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            limit = f"{MAX_DEPTH} levels" if len(path) > MAX_DEPTH else f"{MAX_VALUES} values"
            raise SegkdError(f"{place}: more than {limit}, with those behind aliases; no file of segkd has so many")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise SegkdError(f"{place}: an alias that contains itself")
        if node.tag not in _PLAIN_TAGS:
            raise SegkdError(f"{place}: the tag {one_line(node.tag, 60)} is not read; write plain YAML")
        self._open.add(id(node))
        value = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._open.discard(id(node))
        return value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        line = f"{self._source}:{node.start_mark.line + 1}"
        if node.tag.endswith((":int", ":float")) and len(node.value) > MAX_DIGITS:
            raise SegkdError(f"{line}: a number of {len(node.value)} digits; was it meant as text? put it in quotes")
        try:
            return self._loader.construct_object(node)
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # a tag that its text does not fit
            raise SegkdError(f"{line}: {one_line(node.value, 60)!r} is no {node.tag.rpartition(':')[2]}") from error

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = one_line(repr(key), 60)
                raise SegkdError(f"{self._source}:{line}: a key must be text, got {shown}; put it in quotes")
            here = (*path, key)
            if key in mapping:
                raise SegkdError(
                    f"{self._source}:{line}: {one_line(dotted(here))}: written twice, first in line {self._lines[here]}"
                )
            self._lines[here] = line
            mapping[key] = self.build(value_node, here)
        return mapping

    def _sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self._lines[here] = item.start_mark.line + 1
            values.append(self.build(item, here))
        return values


def dotted(path: KeyPath) -> str:
    """A key's path as people write it: ``methods.0.cwd``."""
    return ".".join(str(part) for part in path)
