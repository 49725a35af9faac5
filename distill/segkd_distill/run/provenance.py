"""What a run was made with: versions, commit, machine."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import segkd

LIBRARIES = ("torch", "numpy", "albumentations", "opencv-python-headless", "lightning-fabric", "safetensors")


def versions() -> dict[str, str]:
    """Versions of segkd, Python and the libraries that a training rests on."""
    found = {"segkd": segkd.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any] | None:
    """Commit of segkd's own source tree and whether it was changed; None for an installed package."""
    package = Path(segkd.__file__).resolve().parent
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return {"commit": commit, "changed": bool(_git(package, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
