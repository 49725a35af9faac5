"""What this machine and its Python have, found out without importing any heavy library."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from segkd.machine.cpus import allowed_cpus, cpu_quota

# Distribution names; the first that is installed gives the version.
PACKAGES: dict[str, tuple[str, ...]] = {
    "segkd": ("segkd",),
    "numpy": ("numpy",),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "pillow": ("pillow",),
    "torch": ("torch",),
    "lightning-fabric": ("lightning-fabric",),
    "albumentations": ("albumentations",),
    "safetensors": ("safetensors",),
    "tensorboard": ("tensorboard",),
    "onnx": ("onnx",),
    "onnxscript": ("onnxscript",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    "tensorrt-rtx": ("tensorrt-rtx",),
    "jinja2": ("jinja2",),
}
_NVIDIA_SMI_TIMEOUT_S = 10


def describe_machine() -> dict[str, Any]:
    """Everything ``segkd doctor`` shows; what is not there is None."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": len(allowed_cpus()),
        "cpu_quota": cpu_quota(),
        "memory_gib": memory_gib(),
        "gpus": nvidia_gpus(),
        "l4t": l4t_release(_read("/etc/nv_tegra_release")),
        "packages": package_versions(),
        "onnxruntime_providers": onnxruntime_providers(),
    }


def package_versions() -> dict[str, str | None]:
    """Version of each optional library, None where it is not installed."""
    return {name: _version(candidates) for name, candidates in PACKAGES.items()}


def onnxruntime_providers() -> list[str] | None:
    """The providers that the installed onnxruntime was built with; None without onnxruntime."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    try:
        return [str(name) for name in importlib.import_module("onnxruntime").get_available_providers()]
    except ImportError as error:
        return [f"broken: {error}"]


def nvidia_gpus() -> list[str] | None:
    """``name, memory, driver`` of each GPU that nvidia-smi sees; None where there is no nvidia-smi."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, timeout=_NVIDIA_SMI_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in result.stdout.splitlines() if line.strip()] if result.returncode == 0 else []


def cpu_model() -> str | None:
    """The processor's name."""
    match = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", _read("/proc/cpuinfo") or "", re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine() or None


def memory_gib() -> float | None:
    """Main memory in GiB."""
    match = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo") or "", re.MULTILINE)
    return round(int(match[1]) / 2**20, 1) if match else None


def l4t_release(text: str | None) -> str | None:
    """A Jetson's L4T version, from ``# R36 (release), REVISION: 4.3, ...`` to 36.4.3; None for other text."""
    match = re.search(r"R(\d+) .*?REVISION: ([\d.]+)", text or "")
    return f"{match[1]}.{match[2]}" if match else None


def _version(candidates: tuple[str, ...]) -> str | None:
    for name in candidates:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
