"""SHA256SUMS: the hashes of a bundle's files, in the format of coreutils' ``sha256sum -c``."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from segkd.errors import GateFailed, SegkdError
from segkd.files import sha256_file
from segkd.files.small_files import listed, one_line, read_text
from segkd_deploy.release.archive import MAX_FILES, BundleArchive

FILE_NAME = "SHA256SUMS"
ARCHIVE_SUFFIX = ".tar.gz"
SUMS_BYTES = 4 << 20
MAX_FILE_BYTES = 16 << 30


def format_sums(hashes: dict[str, str]) -> str:
    """One line per file, sorted: hash, two spaces, path."""
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))


def parse_sums(text: str) -> dict[str, str]:
    """Path -> hash.

    Raises:
        GateFailed: for no line, a line of another form, or a file that is named twice.
    """
    hashes: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *]([^\r]+)", line)
        if match is None or match[2] in hashes:
            raise GateFailed(f"{FILE_NAME}: damaged line {one_line(line, 80)!r}; fetch the bundle again")
        hashes[match[2]] = match[1]
    return hashes


def hash_folder(folder: Path) -> dict[str, str]:
    """Path relative to the folder -> hash, of every file in it but SHA256SUMS."""
    return {name: sha256_file(folder / name) for name in plain_files(folder) if name != FILE_NAME}


def plain_files(folder: Path) -> list[str]:
    """Every file in a folder, as a path relative to it, sorted.

    Raises:
        GateFailed: for a link, pipe, socket or device, and for more files than a bundle has.
    """
    found: list[str] = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                name = Path(entry.path).relative_to(folder).as_posix()
                if stat.S_ISDIR(mode):
                    waiting.append(Path(entry.path))
                elif stat.S_ISREG(mode):
                    found.append(name)
                else:
                    raise GateFailed(f"{folder}: {one_line(name)} is no plain file of a bundle; fetch it again")
                if len(found) + len(waiting) > MAX_FILES:
                    raise GateFailed(f"{folder}: more than {MAX_FILES} files; this is no bundle of segkd")
    return sorted(found)


def verify_hashes(bundle: Path) -> dict[str, str]:
    """Hash a bundle again, a folder or an archive.

    An archive is read, never unpacked; if its ``.sha256`` file lies beside it, that is checked first.

    Returns:
        Path -> hash of its files.

    Raises:
        SegkdError: if it is no bundle.
        GateFailed: naming every file that is changed, missing or added.
    """
    if os.path.isdir(bundle):
        if not os.path.lexists(bundle / FILE_NAME):
            raise SegkdError(f"{bundle} is no bundle: it has no {FILE_NAME}; `segkd release create` makes one")
        present = plain_files(bundle)
        expected = parse_sums(_read_sums(bundle / FILE_NAME))
        _compare(bundle, expected, dict.fromkeys((name for name in present if name != FILE_NAME), ""), hashes=False)
        _require_sane_sizes(bundle, present)
        found = hash_folder(bundle)
    elif os.path.isfile(bundle) and bundle.name.endswith(ARCHIVE_SUFFIX):
        _verify_archive_file(bundle)
        expected, found = _read_archive(bundle)
    else:
        raise SegkdError(f"{one_line(bundle)} is no bundle: expected a folder or a {ARCHIVE_SUFFIX} archive")
    _compare(bundle, expected, found)
    return found


def _read_sums(path: Path) -> str:
    """The text of a file of hashes; one that cannot be read vouches for nothing."""
    try:
        return read_text(path, SUMS_BYTES)
    except SegkdError as error:
        raise GateFailed(f"{error}; fetch the bundle again") from error


def _require_sane_sizes(bundle: Path, names: list[str]) -> None:
    for name in names:
        if (bundle / name).stat().st_size > MAX_FILE_BYTES:
            raise GateFailed(f"{bundle}: {one_line(name)} is larger than any file of a bundle; fetch it again")


def _verify_archive_file(archive: Path) -> None:
    beside = archive.with_name(f"{archive.name}.sha256")
    if not os.path.lexists(beside):
        return
    expected = parse_sums(_read_sums(beside))
    if expected != {archive.name: sha256_file(archive)}:
        raise GateFailed(f"{archive} has changed: it does not have the hash in {beside.name}; fetch it again")


def _read_archive(archive: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The hashes that an archive states, and those that its files have."""
    read = BundleArchive(archive, FILE_NAME, SUMS_BYTES).read()
    if read.kept is None:
        raise SegkdError(f"{archive} is no bundle: it has no {FILE_NAME}; `segkd release create` makes one")
    try:
        stated = parse_sums(read.kept.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise GateFailed(f"{archive}: {FILE_NAME} is not text in UTF-8; fetch it again") from error
    return stated, {name: sha256 for name, sha256 in read.hashes.items() if name != FILE_NAME}


def _compare(bundle: Path, expected: dict[str, str], found: dict[str, str], *, hashes: bool = True) -> None:
    problems = [f"{one_line(name, 80)} is missing" for name in sorted(expected.keys() - found.keys())]
    problems += [f"{one_line(name, 80)} was added" for name in sorted(found.keys() - expected.keys())]
    if hashes:
        both = sorted(expected.keys() & found.keys())
        problems += [f"{one_line(name, 80)} has changed" for name in both if expected[name] != found[name]]
    if problems:
        raise GateFailed(f"{bundle}: {listed(problems, 10)}")
