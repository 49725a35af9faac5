"""Which Jetson this is, and what software and power mode it runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from segkd_deploy.telemetry.sysfs import read_long_text, read_text, under

# Module numbers in /proc/device-tree/compatible, to keys of segkd_deploy.chips.CHIPS. The text in
# /proc/device-tree/model is written by the maker of the carrier board and names the wrong module on some.
MODULES: dict[str, str] = {
    "p3701": "orin",
    "p3767-0000": "orin-nx",
    "p3767-0001": "orin-nx",
    "p3767-0003": "orin-nano",
    "p3767-0004": "orin-nano",
    "p3767-0005": "orin-nano",
    "p3834": "thor",
}
MODELS: dict[str, str] = {
    "AGX Orin": "orin",
    "Orin NX": "orin-nx",
    "Orin Nano": "orin-nano",
    "AGX Thor": "thor",
    "Jetson Thor": "thor",
}

# For images without the package nvidia-jetpack. NVIDIA's JetPack release notes.
JETPACKS: dict[str, str] = {
    "36.3.0": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "38.2.0": "7.0",
    "38.2.1": "7.0",
    "38.2.2": "7.0",
    "38.4.0": "7.1",
    "39.2.1": "7.2.1",
}
NVPMODEL_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class PowerMode:
    """A power mode of nvpmodel.

    Attributes:
        id: its number; None if only the name is known.
        name: its name, such as ``MAXN_SUPER``; None if only the number is known.
    """

    id: int | None
    name: str | None


def is_tegra(root: Path) -> bool:
    """Whether the machine is a Jetson of any kind, known or not."""
    compatible = read_text(under(root, "/proc/device-tree/compatible")) or ""
    return "nvidia,tegra" in compatible or read_l4t(root) is not None


def read_model(root: Path) -> str | None:
    """The board's name in the device tree."""
    return read_text(under(root, "/proc/device-tree/model"))


def read_board(root: Path) -> str | None:
    """The module, as a key of ``segkd_deploy.chips.CHIPS``; None for a machine that is not in the tables."""
    compatible = read_text(under(root, "/proc/device-tree/compatible")) or ""
    for number in re.findall(r"p\d{4}(?:-\d{4})?", compatible):
        board = MODULES.get(number) or MODULES.get(number[:5])
        if board is not None:
            return board
    model = read_model(root) or ""
    return next((board for text, board in MODELS.items() if text in model), None)


def parse_l4t(release: str | None) -> str | None:
    """The L4T version (``36.4.3``) in the text of ``/etc/nv_tegra_release``; None if it has none."""
    match = re.search(r"# R(\d+) .*?REVISION: ([\d.]+)", release or "")
    return f"{match[1]}.{match[2]}" if match else None


def read_l4t(root: Path) -> str | None:
    """The L4T version, of the release file or the package nvidia-l4t-core."""
    version = parse_l4t(read_text(under(root, "/etc/nv_tegra_release")))
    return version or _package_version(root, "nvidia-l4t-core")


def read_jetpack(root: Path) -> str | None:
    """The JetPack version, of the package nvidia-jetpack or else by the L4T version."""
    version = _package_version(root, "nvidia-jetpack")
    if version is not None:
        return version
    return JETPACKS.get(_three_parts(read_l4t(root)))


def read_cuda(root: Path) -> str | None:
    """The version of the CUDA toolkit."""
    text = read_long_text(under(root, "/usr/local/cuda/version.json"))
    try:
        version = json.loads(text or "{}")["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(version)


def read_power_mode(root: Path) -> PowerMode | None:
    """The power mode: of nvpmodel's own files, or else of ``nvpmodel -q`` on the machine itself."""
    match = re.search(r"pmode:(\d+)", read_text(under(root, "/var/lib/nvpmodel/status")) or "")
    if match is not None:
        number = int(match[1])
        return PowerMode(number, _power_mode_name(root, number))
    nvpmodel = shutil.which("nvpmodel") if root == Path("/") else None
    if nvpmodel is None:
        return None
    try:
        done = subprocess.run([nvpmodel, "-q"], capture_output=True, text=True, check=False, timeout=NVPMODEL_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_nvpmodel_query(done.stdout)


def parse_nvpmodel_query(text: str) -> PowerMode | None:
    """The mode in what ``nvpmodel -q`` prints: ``NV Power Mode: MAXN`` and a line with its number."""
    match = re.search(r"NV Power Mode:\s*(\S+)(?:\s+(\d+))?", text)
    return PowerMode(int(match[2]) if match[2] else None, match[1]) if match else None


def _power_mode_name(root: Path, number: int) -> str | None:
    for match in re.finditer(
        r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>",
        read_long_text(under(root, "/etc/nvpmodel.conf")) or "",
        re.MULTILINE,
    ):
        if int(match[1]) == number:
            return match[2]
    return None


def _package_version(root: Path, package: str) -> str | None:
    """The upstream version (``6.2`` of ``6.2+b77``) of an installed Debian package."""
    status = read_long_text(under(root, "/var/lib/dpkg/status")) or ""
    entry = next((entry for entry in status.split("\n\n") if entry.lstrip().startswith(f"Package: {package}\n")), "")
    fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line)
    if not fields.get("Status", "").endswith(" installed"):
        return None
    match = re.match(r"[\d.]+", fields.get("Version", ""))
    return match[0] if match else None


def _three_parts(version: str | None) -> str:
    parts = (version or "").split(".")
    return ".".join((*parts, "0")) if len(parts) == 2 else ".".join(parts)
