from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from segkd_deploy.targets.on_device import unpack


def run(*words: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, unpack.__file__, *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True)


def wheel(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_files_lie_where_python_looks(tmp_path: Path) -> None:
    first = wheel(
        tmp_path / "a", **{"a/__init__.py": "x = 1", "a-1.data/platlib/a/lib.so": "so", "a-1.data/scripts/a": "no"}
    )
    second = wheel(tmp_path / "b", **{"b.py": "import a; print(a.x)"})
    target = tmp_path / "runners" / "key"
    done = run(target, first, second)
    assert (done.returncode, done.stdout) == (0, "unpacked 2 wheels\n")
    files = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert files == {"a/__init__.py", "a/lib.so", "b.py"}
    assert not first.exists() and not second.exists()  # kept once, not twice
    env = {**os.environ, "PYTHONPATH": str(target)}
    assert subprocess.run([sys.executable, "-m", "b"], capture_output=True, text=True, env=env).stdout == "1\n"


def test_once_is_enough(tmp_path: Path) -> None:
    target = tmp_path / "key"
    run(target, wheel(tmp_path / "a", **{"a.py": ""}))
    os.utime(target, (0, 0))
    assert run(target, tmp_path / "gone").returncode == 0
    assert target.stat().st_mtime > 0  # it was used: not yet to be forgotten


def test_folder_that_has_gone(tmp_path: Path) -> None:
    done = run(tmp_path / "key")
    assert done.returncode != 0 and "run it again" in done.stderr
    assert not (tmp_path / "key").exists()


def test_nothing_half_unpacked(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no zip")
    done = run(tmp_path / "runners" / "key", wheel(tmp_path / "a", **{"a.py": ""}), tmp_path / "broken")
    assert done.returncode != 0
    assert list((tmp_path / "runners").iterdir()) == []


def test_wheel_that_reaches_outside(tmp_path: Path) -> None:
    done = run(tmp_path / "runners" / "key", wheel(tmp_path / "a", **{"../../evil.py": ""}))
    assert done.returncode != 0 and "does not lie inside the wheel" in done.stderr
    assert not (tmp_path / "evil.py").exists()
