"""Engines that were built on this machine, found again by everything that they depend on.

An engine runs on the GPU model and with the TensorRT that built it, and nowhere else; so it is no artifact but a cache
of one: it can be deleted at any time and is built again.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import read_json, write_atomic, write_json

SCHEMA = 1
FOLDER_VARIABLE = "SEGKD_ENGINE_CACHE"


@dataclass(frozen=True)
class EngineKey:
    """Everything that an engine depends on.

    Attributes:
        graph_sha256: of the ONNX file.
        library: ``tensorrt`` or ``tensorrt_rtx``.
        version: its full version.
        sm: compute capability that it was built for, ``major.minor``; several joined by ``+``.
        l4t: the Jetson's release; None elsewhere.
        flags: what else was asked of the builder, sorted.
    """

    graph_sha256: str
    library: str
    version: str
    sm: str
    l4t: str | None
    flags: tuple[str, ...]

    def digest(self) -> str:
        """A hex name for the key."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class CachedEngine:
    """A plan that was found, with what was written beside it."""

    plan: bytes
    record: dict[str, Any]


def default_folder() -> Path:
    """``$SEGKD_ENGINE_CACHE``, else ``segkd/engines`` in the user's cache folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segkd" / "engines"


class EngineCache:
    """Plans in one folder: ``DIGEST.plan``, and ``DIGEST.json``, which is written last and holds the plan's hash.

    Args:
        folder: the folder; None for ``default_folder()``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder

    def load(self, key: EngineKey) -> CachedEngine | None:
        """The plan of a key; None if it is not there or not whole."""
        record_path, plan_path = self._paths(key)
        try:
            record = read_json(record_path)
            plan = plan_path.read_bytes()
        except (SegkdError, OSError):
            return None
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            return None
        if record.get("plan_sha256") != hashlib.sha256(plan).hexdigest():
            return None
        return CachedEngine(plan, record)

    def store(self, key: EngineKey, plan: bytes, **facts: Any) -> Path:
        """Keep a plan; returns its path.

        Args:
            key: its key.
            plan: its bytes.
            facts: also written into the record.

        Raises:
            SegkdError: if the folder cannot be written.
        """
        record_path, plan_path = self._paths(key)
        digest = hashlib.sha256(plan).hexdigest()
        try:
            write_atomic(plan_path, plan)
            write_json(record_path, {"schema": SCHEMA, "key": asdict(key), "plan_sha256": digest, **facts})
        except OSError as error:
            raise SegkdError(
                f"{self.folder}: engines cannot be kept there ({error.strerror}); name another folder with "
                f"{FOLDER_VARIABLE}"
            ) from error
        return plan_path

    def timing_cache(self, key: EngineKey) -> Path:
        """Where the times of kernels lie, which belong to a library's version and a GPU, not to a graph."""
        parts = [key.library, key.version, key.sm, key.l4t or "none"]
        name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        return self.folder / f"timing-{name}.cache"

    def _paths(self, key: EngineKey) -> tuple[Path, Path]:
        name = key.digest()
        return self.folder / f"{name}.json", self.folder / f"{name}.plan"
