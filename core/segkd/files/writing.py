"""Files: hashes, and writing that never leaves half a file under its final name; reading is in ``small_files``."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files.small_files import one_line, open_regular, parse_json, read_bytes, read_json, read_object, read_text
from segkd.files.unfinished import unfinished

__all__ = [
    "finite",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_object",
    "read_text",
    "sha256_file",
    "write_atomic",
    "write_json",
]


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in lower-case hex.

    Raises:
        SegkdError: naming the file, if it cannot be read or is no regular file.
    """
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise SegkdError(f"{one_line(path)}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file in one step: readers see the old content or all of the new.

    The temporary file lies in the same folder, which is made if need be.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with unfinished(path) as temporary:
        with temporary.open("r+b") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


def finite(obj: Any) -> Any:
    """A copy fit for JSON: nan and infinities become None, numpy values plain ones, paths text, sets sorted lists."""
    if isinstance(obj, Mapping):
        return {str(key): finite(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [finite(value) for value in obj]
    if isinstance(obj, (set, frozenset)):
        return [finite(value) for value in sorted(obj)]
    if isinstance(obj, Path):
        return str(obj)
    if hasattr(obj, "tolist"):
        return finite(obj.tolist())
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return obj


def write_json(path: Path, obj: Any) -> None:
    """Write JSON in one step, indented by 2; nan and infinities become null."""
    write_atomic(path, json.dumps(finite(obj), indent=2, allow_nan=False) + "\n")
