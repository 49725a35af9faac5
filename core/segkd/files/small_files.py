"""The one reader of small files that people hand over: recipes, gates, class lists, manifests, evidence, hashes.

Whatever a path leads to, it ends in a value or in one short line: only regular files are read, never more than a limit,
as UTF-8, and nothing is nested without end. ``segkd.files.yaml_lines`` reads YAML by the same rules.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from segkd.errors import SegkdError

# What people write by hand, and what programs write: the raw latencies of a long bench are some tens of MB.
TEXT_BYTES = 1 << 20
JSON_BYTES = 256 << 20
MAX_DEPTH = 64
# Python refuses 4300 digits, and takes seconds for fewer; no quantity here has more.
MAX_DIGITS = 100

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def one_line(text: object, most: int = 200) -> str:
    """Any text as a part of one line of a message: without control characters, its middle left out if it is long."""
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in str(text)[: 4 * most]
    )
    if len(escaped) <= most and len(str(text)) <= 4 * most:
        return escaped
    return f"{escaped[: most * 2 // 3]}...{escaped[-most // 4 :] if len(str(text)) <= 4 * most else ''}"


def listed(items: Iterable[object], most: int = 5) -> str:
    """The first items for a message, and how many more there are."""
    texts = list(items)
    shown = "; ".join(one_line(text, 120) for text in texts[:most])
    return shown if len(texts) <= most else f"{shown}; and {len(texts) - most} more"


def is_lfs_pointer(head: bytes) -> bool:
    """Whether a file that begins so is what Git leaves in place of a large file where Git LFS is not installed."""
    return head.startswith(_LFS_POINTER)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; links are followed, but what they lead to must be a regular file.

    Raises:
        SegkdError: naming the file, if it cannot be opened, or is a folder, pipe, socket or device, which could block
            or never end.
    """
    try:
        # O_NONBLOCK: opening a pipe without a writer would wait for one.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SegkdError(f"{one_line(path)}: cannot be read ({reason})") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((words for test, words in _KINDS if test(mode)), "something else")
        raise SegkdError(f"{one_line(path)}: expected a regular file, found {kind}; copy its content into a file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, limit: int = TEXT_BYTES) -> bytes:
    """The bytes of a small file.

    Raises:
        SegkdError: naming the file, if it is no regular file, cannot be read, or has more bytes than ``limit``.
    """
    try:
        with open_regular(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise SegkdError(f"{one_line(path)}: cannot be read ({error.strerror})") from error
    if len(data) > limit:
        raise SegkdError(f"{one_line(path)}: has more than {limit >> 10} KiB, too much for a file of its kind")
    if is_lfs_pointer(data):
        raise SegkdError(f"{one_line(path)}: is a Git LFS pointer, not the file itself; run `git lfs pull`")
    return data


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """The text of a small file in UTF-8; a byte-order mark at its start is left out.

    Raises:
        SegkdError: naming the file, for what :func:`read_bytes` refuses, other bytes than UTF-8, and NUL characters.
    """
    data = read_bytes(path, limit)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SegkdError(
            f"{one_line(path)}: cannot be read as text in UTF-8 (line {line}: {error.reason}); save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SegkdError(f"{one_line(path)}: cannot be read as text (line {line} holds a NUL character); copy it again")
    return text


def read_json(path: Path, limit: int = JSON_BYTES) -> Any:
    """The value in a JSON file.

    Raises:
        SegkdError: naming the file, for what :func:`read_text` and :func:`parse_json` refuse.
    """
    return parse_json(read_text(path, limit), one_line(path))


def read_object(path: Path, limit: int = JSON_BYTES) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        SegkdError: naming the file, for what :func:`read_json` refuses and any value but an object.
    """
    value = read_json(path, limit)
    if not isinstance(value, dict):
        raise SegkdError(f"{one_line(path)}: expected an object, got {type(value).__name__}")
    return value


def parse_json(text: str, source: str) -> Any:
    """The value of a JSON text.

    Differs from ``json``: a key written twice, NaN, infinities, numbers of more than 100 digits and more than 64 levels
    are errors.

    Args:
        text: the document.
        source: its name in error messages.

    Raises:
        SegkdError: naming the source.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_whole,
            parse_float=_finite_number,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise SegkdError(f"{source}: is nested more than {MAX_DEPTH} levels deep; no file of segkd is") from None
    except ValueError as error:
        raise SegkdError(f"{source}: not valid JSON ({one_line(error)}); was it written completely?") from None
    require_flat(value, source)
    return value


def require_flat(value: Any, source: str) -> None:
    """Refuse a value that is nested too deep for the recursive functions that read it.

    Raises:
        SegkdError: naming the source.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise SegkdError(f"{source}: is nested more than {MAX_DEPTH} levels deep; no file of segkd is")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {one_line(twice, 60)!r} is written twice")
    return found


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{one_line(text, 30)} is out of range")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
