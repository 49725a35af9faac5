from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from segkd.errors import GateFailed, SegkdError
from segkd_deploy.release.checksums import FILE_NAME, format_sums, hash_folder, parse_sums, verify_hashes
from tests.deploy.artifacts import change_a_byte

# SHA-256 of no bytes and of b"abc", from FIPS 180-2.
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "net-1"
    (folder / "reference").mkdir(parents=True)
    (folder / "empty").write_bytes(b"")
    (folder / "reference" / "abc.txt").write_bytes(b"abc")
    (folder / FILE_NAME).write_text(format_sums(hash_folder(folder)))
    return folder


def pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.rglob("*")):
            if not path.is_dir():
                tar.add(path, f"{folder.name}/{path.relative_to(folder)}")
    return archive


def test_format_is_that_of_coreutils(bundle: Path) -> None:
    assert (bundle / FILE_NAME).read_text() == f"{EMPTY}  empty\n{ABC}  reference/abc.txt\n"
    assert parse_sums((bundle / FILE_NAME).read_text()) == {"empty": EMPTY, "reference/abc.txt": ABC}
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--quiet", "-c", FILE_NAME], cwd=bundle, check=True)


@pytest.mark.parametrize("line", ["abc  file", f"{ABC} file", f"{ABC}  a\n{ABC}  a"])
def test_damaged_list(line: str) -> None:
    with pytest.raises(GateFailed, match="damaged line"):
        parse_sums(line)


def test_unchanged_bundle(bundle: Path, tmp_path: Path) -> None:
    expected = {"empty": EMPTY, "reference/abc.txt": ABC}
    assert verify_hashes(bundle) == expected
    assert verify_hashes(pack(bundle, tmp_path / "net-1.tar.gz")) == expected


def damage(bundle: Path, how: str) -> None:
    if how == "changed":
        change_a_byte(bundle / "reference" / "abc.txt")
    elif how == "missing":
        (bundle / "empty").unlink()
    elif how == "added":
        (bundle / "reference" / "more").write_text("")
    else:
        (bundle / "reference" / "abc.txt").unlink()
        (bundle / "reference" / "abc.txt").symlink_to("../nowhere")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("changed", r"reference/abc\.txt has changed"),
        ("missing", "empty is missing"),
        ("added", "reference/more was added"),
    ],
)
def test_difference_is_named(bundle: Path, tmp_path: Path, packed: bool, how: str, message: str) -> None:
    damage(bundle, how)
    with pytest.raises(GateFailed, match=message):
        verify_hashes(pack(bundle, tmp_path / "net-1.tar.gz") if packed else bundle)


def test_link_in_an_archive(bundle: Path, tmp_path: Path) -> None:
    damage(bundle, "link")
    with pytest.raises(GateFailed, match=r"abc\.txt is no plain file"):
        verify_hashes(pack(bundle, tmp_path / "net-1.tar.gz"))


def test_hash_beside_the_archive_is_checked(bundle: Path, tmp_path: Path) -> None:
    archive = pack(bundle, tmp_path / "net-1.tar.gz")
    (tmp_path / "net-1.tar.gz.sha256").write_text(f"{ABC}  net-1.tar.gz\n")
    with pytest.raises(GateFailed, match=r"does not have the hash in net-1\.tar\.gz\.sha256"):
        verify_hashes(archive)


@pytest.mark.parametrize("size", [0, 60])
def test_cut_archive(bundle: Path, tmp_path: Path, size: int) -> None:
    archive = pack(bundle, tmp_path / "net-1.tar.gz")
    archive.write_bytes(archive.read_bytes()[:size])
    with pytest.raises(GateFailed, match="is damaged"):
        verify_hashes(archive)


def test_no_bundle(bundle: Path, tmp_path: Path) -> None:
    (bundle / FILE_NAME).unlink()
    for path in (bundle, pack(bundle, tmp_path / "net-1.tar.gz"), tmp_path / "gone", bundle / "empty"):
        with pytest.raises(SegkdError, match="is no bundle") as error:
            verify_hashes(path)
        assert error.value.exit_code == 2
