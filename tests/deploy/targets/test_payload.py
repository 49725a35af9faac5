from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.payload import (
    download_wheels,
    lacking_requirements,
    make_bundle,
    platform_options,
    requirements,
    write_app_wheel,
)
from segkd_deploy.targets.spec import TargetSpec

JETSON: dict[str, Any] = {
    "python": "3.10.12",
    "implementation": "CPython",
    "machine": "aarch64",
    "system": "Linux",
    "libc": ["glibc", "2.35"],
    "installed": {},
}
ALL = {"click": "8.1.7", "numpy": "1.26.4", "opencv-python": "4.9.0.80", "pillow": "10.2.0", "pydantic": "2.7.0"}
ALL |= {"pyyaml": "6.0.1", "rich": "13.7.0", "onnxruntime-gpu": "1.20.1"}


def test_app_wheel_holds_the_two_rooms_and_is_reproducible(tmp_path: Path) -> None:
    first, second = write_app_wheel(tmp_path / "a"), write_app_wheel(tmp_path / "b")
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        assert {name.split("/")[0].split("-")[0] for name in names} == {"segkd", "segkd_deploy"}
        assert "segkd_deploy/targets/on_device/agent.py" in names
        assert not [name for name in names if "__pycache__" in name]


def test_app_wheel_runs_as_it_is(tmp_path: Path) -> None:
    wheel = write_app_wheel(tmp_path)
    code = "import segkd, segkd_deploy.device as d; print(segkd.__file__, d.describe_device()['cores'] > 0)"
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(wheel)!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{wheel}/segkd/__init__.py True\n"


def test_requirements_are_those_of_the_runtime() -> None:
    base, ort = requirements("tensorrt"), requirements("onnxruntime")
    assert {name.split(">")[0] for name in base} >= {"numpy", "pydantic", "opencv-python-headless"}
    assert {name.split(">")[0] for name in ort} == {name.split(">")[0] for name in base} | {"onnxruntime"}
    assert not any(name.startswith(("torch", "onnx>", "onnx=")) for name in ort)


def test_lacking_requirements() -> None:
    needed = ["numpy>=1.24", "onnxruntime>=1.20", "click>=8.1"]
    assert lacking_requirements(needed, {"numpy": "1.26.4", "onnxruntime-gpu": "1.20.0", "click": "8.1.7"}) == []
    assert lacking_requirements(needed, {"numpy": "1.21.5", "onnxruntime": "1.3", "click": "10.0"}) == needed[:2]


def test_pip_options_of_a_jetson() -> None:
    options = platform_options("orin", JETSON)
    pairs = list(zip(options[::2], options[1::2], strict=True))
    assert pairs[0] == ("--implementation", "cp") and pairs[1] == ("--python-version", "3.10")
    assert [value for flag, value in pairs if flag == "--abi"] == ["cp310", "abi3", "none"]
    platforms = [value for flag, value in pairs if flag == "--platform"]
    assert platforms[0] == "manylinux_2_35_aarch64" and "manylinux_2_17_aarch64" in platforms
    assert "manylinux_2_36_aarch64" not in platforms and not any("x86" in value for value in platforms)


@pytest.mark.parametrize(
    "facts", [{"libc": ["", ""]}, {"system": "Darwin"}, {"implementation": "PyPy"}, {"libc": ["musl", "1.2"]}]
)
def test_systems_without_wheels(facts: dict[str, Any]) -> None:
    with pytest.raises(BackendMissing, match="dependencies: found"):
        platform_options("board", {**JETSON, **facts})


def test_what_is_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "numpy-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("numpy/__init__.py", "x" * 1000)
    asked: list[list[str]] = []

    def download(name: str, needed: list[str], options: list[str], say: object) -> list[Path]:
        asked.append(needed)
        return [wheel]

    monkeypatch.setattr("segkd_deploy.targets.payload.download_wheels", download)

    def kinds(dependencies: str, installed: dict[str, str]) -> list[str]:
        spec = TargetSpec("orin", host="orin", dependencies=dependencies)
        parts = make_bundle(spec, {**JETSON, "installed": installed}, "onnxruntime", print)
        return [part.key.split("-")[0] for part in parts]

    assert kinds("auto", ALL) == ["app"] and not asked
    assert kinds("auto", {**ALL, "numpy": "1.21"}) == ["app", "deps"]
    assert asked == [requirements("onnxruntime")]  # all, so that they fit one another
    assert kinds("wheels", ALL) == ["app", "deps"]
    assert kinds("found", ALL) == ["app"]
    with pytest.raises(BackendMissing, match=r"orin: the Python there lacks numpy>=1\.24; install them there, or let"):
        kinds("found", {**ALL, "numpy": "1.21"})


def test_this_machine_gets_nothing_beside_its_python() -> None:
    with pytest.raises(BackendMissing, match=r"local: the Python there lacks .*onnxruntime.*; install them there$"):
        make_bundle(TargetSpec("local"), JETSON, "onnxruntime", print)


@pytest.fixture
def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip that writes one wheel, or fails; it counts its calls."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = tmp_path / "fake" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import pathlib, sys\n"
        "with open(pathlib.Path(__file__).with_name('calls'), 'a') as calls: calls.write('x')\n"
        "if 'nothing>=1' in sys.argv: sys.exit('ERROR: No matching distribution found for nothing>=1')\n"
        "(pathlib.Path(sys.argv[sys.argv.index('--dest') + 1]) / 'a-1-py3-none-any.whl').touch()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    return package / "calls"


def test_wheels_are_downloaded_once(fake_pip: Path) -> None:
    for _ in range(2):
        (wheel,) = download_wheels("orin", ["a>=1"], ["--abi", "cp310"], print)
        assert wheel.name == "a-1-py3-none-any.whl"
    assert fake_pip.read_text() == "x"
    download_wheels("orin", ["a>=1"], ["--abi", "cp311"], print)
    assert fake_pip.read_text() == "xx"


def test_pip_that_finds_nothing(fake_pip: Path) -> None:
    with pytest.raises(BackendMissing, match=r"orin: pip found no wheels .*: ERROR: No matching distribution found"):
        download_wheels("orin", ["nothing>=1"], [], print)
    with pytest.raises(BackendMissing):  # and nothing is kept of it
        download_wheels("orin", ["nothing>=1"], [], print)
    assert fake_pip.read_text() == "xx"


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SegkdError, match="is a file and no folder; name another place with XDG_CACHE_HOME=FOLDER"):
        make_bundle(TargetSpec("here"), {"installed": {}}, "onnxruntime", lambda line: None)
