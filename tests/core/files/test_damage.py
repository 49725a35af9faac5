from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from segkd.files.damage import describe_damage

CONTENT = b"one\ntwo\n" * 20


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 160\n", "is a Git LFS pointer"),
        (CONTENT.replace(b"\n", b"\r\n"), "had its line ends converted to CRLF"),
        (CONTENT[:-1], "cut short (159 of 160 bytes): copy it again"),
        (b"", "is empty: copy it again"),
        (CONTENT.replace(b"one", b"two"), "has changed"),
        (CONTENT.replace(b"one", b"two").replace(b"\n", b"\r\n"), "has changed"),
    ],
)
def test_what_the_bytes_tell(tmp_path: Path, now: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(now)
    told = describe_damage(tmp_path / "file", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert words in told
    assert "export again" not in told
