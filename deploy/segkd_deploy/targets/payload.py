"""What a run needs on a device: this package, and wheels of its dependencies for the Python there."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segkd
import segkd_deploy
from segkd.errors import BackendMissing, SegkdError
from segkd.files import sha256_file, write_atomic
from segkd.files.destinations import require_writable_folder
from segkd_deploy.targets.session import Say
from segkd_deploy.targets.spec import TargetSpec

# The two rooms that need neither torch nor onnx.
PACKAGES = (segkd, segkd_deploy)
# Runtimes whose wheels can be brought; a TensorRT belongs to the device's own driver.
RUNTIME_EXTRAS = {"onnxruntime": "ort"}
# Other distributions that bring the same module.
SAME_MODULE: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino"),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
}
OLDEST_GLIBC = 17
_PIP_TIMEOUT_S = 1800
# Wheels of earlier states of this package; another process may still be copying a recent one.
_KEEP_APP_S = 24 * 3600


@dataclass(frozen=True)
class Part:
    """Wheels that are unpacked into one folder on the device.

    Attributes:
        key: name of the folder; the same wheels have the same.
        wheels: the files by their SHA-256.
    """

    key: str
    wheels: dict[str, Path]

    def unpacked_bytes(self) -> int:
        """What they take once unpacked."""
        total = 0
        for path in self.wheels.values():
            with zipfile.ZipFile(path) as archive:
                total += sum(member.file_size for member in archive.infolist())
        return total


def cache_folder() -> Path:
    """Where wheels are kept on this machine."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segkd" / "wheels"


def make_bundle(spec: TargetSpec, facts: dict[str, Any], runtime: str, say: Say) -> list[Part]:
    """Everything a run needs on a device.

    Args:
        spec: the device.
        facts: what its agent said of it.
        runtime: a key of ``RUNNERS``.
        say: is told what is being done.

    Returns:
        This package, and its dependencies unless the device's Python has them.

    Raises:
        BackendMissing: if the dependencies are on neither side.
    """
    require_writable_folder(cache_folder(), "XDG_CACHE_HOME=FOLDER in the environment")
    app = write_app_wheel(cache_folder())
    parts = [_part("app", [app])]
    needed = requirements(runtime)
    lacking = lacking_requirements(needed, facts["installed"])
    # This machine's own Python is what the user installed into: nothing is put beside it.
    mode = "found" if spec.host is None else spec.dependencies
    if mode == "found" and lacking:
        raise BackendMissing(
            f"{spec.name}: the Python there lacks {', '.join(lacking)}; install them there"
            + ("" if spec.host is None else ", or let segkd bring them with `dependencies: wheels` in devices.yaml")
        )
    if mode == "wheels" or (mode == "auto" and lacking):
        parts.append(_part("deps", download_wheels(spec.name, needed, platform_options(spec.name, facts), say)))
    return parts


def requirements(runtime: str) -> list[str]:
    """The dependencies of this package, ``name>=version``, with those of a runtime."""
    extra = RUNTIME_EXTRAS.get(runtime)
    found = []
    for line in importlib.metadata.requires("segkd") or []:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        named = re.search(r"""extra\s*==\s*['"]([^'"]+)""", marker)
        if not marker or (named and named[1] == extra):
            found.append(requirement)
    return found


def lacking_requirements(needed: Sequence[str], installed: dict[str, str]) -> list[str]:
    """The requirements that no installed distribution meets."""
    lacking = []
    for requirement in needed:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?", requirement)
        name, minimum = (match[1].lower(), match[2]) if match else (requirement, None)
        versions = [installed[other] for other in (name, *SAME_MODULE.get(name, ())) if other in installed]
        if not any(minimum is None or _numbers(version) >= _numbers(minimum) for version in versions):
            lacking.append(requirement)
    return lacking


def platform_options(name: str, facts: dict[str, Any]) -> list[str]:
    """Pip's options for the device's Python, processor and C library.

    Raises:
        BackendMissing: for a system that no wheels are made for.
    """
    library, version = facts["libc"]
    if facts["system"] != "Linux" or library != "glibc" or facts["implementation"] != "CPython":
        raise BackendMissing(
            f"{name}: no wheels for {facts['implementation']} on {facts['system']} with {library or 'another libc'}; "
            "install the dependencies there and set `dependencies: found` in devices.yaml"
        )
    machine, python = facts["machine"], ".".join(facts["python"].split(".")[:2])
    tag = "cp" + python.replace(".", "")
    options = ["--implementation", "cp", "--python-version", python]
    for abi in (tag, "abi3", "none"):
        options += ["--abi", abi]
    for minor in range(_numbers(version)[1], OLDEST_GLIBC - 1, -1):
        options += ["--platform", f"manylinux_2_{minor}_{machine}"]
    return [*options, "--platform", f"manylinux2014_{machine}", "--platform", f"linux_{machine}"]


def download_wheels(name: str, needed: Sequence[str], options: Sequence[str], say: Say) -> list[Path]:
    """Have pip fetch wheels for another machine; kept, so that it is asked once.

    Raises:
        BackendMissing: if pip is not there or does not find them.
    """
    key = hashlib.sha256(json.dumps([list(needed), list(options)]).encode()).hexdigest()[:16]
    folder = cache_folder() / key
    if not folder.is_dir():
        say("downloading wheels of the dependencies for the Python there")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=folder.parent))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--only-binary=:all:", "--dest", str(temporary), *options, *needed]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
            if done.returncode:
                lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no message"]
                raise BackendMissing(f"{name}: pip found no wheels of the dependencies: {lines[0]}")
            _keep(temporary, folder)
        except subprocess.TimeoutExpired as error:
            raise BackendMissing(f"{name}: pip took more than {_PIP_TIMEOUT_S} s to fetch wheels") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return sorted(folder.glob("*.whl"))


def write_app_wheel(folder: Path) -> Path:
    """A wheel of the packages that run on a device; the same files give the same bytes."""
    content = io.BytesIO()
    version = segkd.__version__
    info = f"segkd-{version}.dist-info"

    with zipfile.ZipFile(content, "w") as archive:
        for package in PACKAGES:
            if package.__file__ is None:
                raise SegkdError(f"{package.__name__} has no files of its own to copy")
            root = Path(package.__file__).parent
            for path in sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
                _add(archive, f"{root.name}/{path.relative_to(root).as_posix()}", path.read_bytes())
        _add(archive, f"{info}/METADATA", f"Metadata-Version: 2.1\nName: segkd\nVersion: {version}\n".encode())
        _add(archive, f"{info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")

    digest = hashlib.sha256(content.getvalue()).hexdigest()[:16]
    path = folder / f"segkd-{version}+{digest}-py3-none-any.whl"
    if not path.is_file():
        for old in folder.glob("segkd-*.whl"):
            if old.stat().st_mtime < time.time() - _KEEP_APP_S:
                old.unlink(missing_ok=True)
        write_atomic(path, content.getvalue())
    return path


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name)
    member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(member, content)


def _part(kind: str, wheels: Sequence[Path]) -> Part:
    hashes = {sha256_file(path): path for path in wheels}
    return Part(f"{kind}-{hashlib.sha256(''.join(sorted(hashes)).encode()).hexdigest()[:16]}", hashes)


def _keep(temporary: Path, folder: Path) -> None:
    temporary.chmod(0o755)
    try:
        temporary.rename(folder)
    except OSError:  # another process was faster
        if not folder.is_dir():
            raise


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", re.split(r"[^0-9.]", version)[0]))
