from __future__ import annotations

import importlib.util
import platform
import stat
from pathlib import Path

import pytest

import segkd
from segkd.machine.inventory import (
    cpu_model,
    describe_machine,
    l4t_release,
    memory_gib,
    nvidia_gpus,
    onnxruntime_providers,
    package_versions,
)


def test_l4t_release() -> None:
    line = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64"
    assert l4t_release(line) == "36.4.3"
    assert l4t_release("something else") is None
    assert l4t_release(None) is None


def test_package_versions() -> None:
    versions = package_versions()
    assert versions["segkd"] == segkd.__version__
    assert versions["numpy"]


def test_a_package_that_is_not_installed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd.machine.inventory.PACKAGES", {"this": ("no-such-distribution", "also-not-there")})
    assert package_versions() == {"this": None}


def test_providers_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert onnxruntime_providers() is None


def nvidia_smi(folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_gpus() is None
    nvidia_smi(tmp_path, "echo 'Orin, 7620 MiB, 540.4'; echo; echo 'H200, 143771 MiB, 580'")
    assert nvidia_gpus() == ["Orin, 7620 MiB, 540.4", "H200, 143771 MiB, 580"]
    nvidia_smi(tmp_path, "echo 'has failed because it could not communicate'; exit 9")
    assert nvidia_gpus() == []


@pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc")
def test_processor_and_memory() -> None:
    memory = memory_gib()
    assert cpu_model()
    assert memory is not None
    assert memory > 0.1


def test_describe_machine_names_this_python() -> None:
    assert describe_machine()["python"] == platform.python_version()
