"""SHA256SUMS: the hashes of a bundle's files, in the format of coreutils' ``sha256sum -c``."""

from __future__ import annotations

import hashlib
import re
import tarfile
import zlib
from pathlib import Path

from segkd.errors import GateFailed, SegkdError
from segkd.files import sha256_file

FILE_NAME = "SHA256SUMS"
ARCHIVE_SUFFIX = ".tar.gz"


def format_sums(hashes: dict[str, str]) -> str:
    """One line per file, sorted: hash, two spaces, path."""
    return "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))


def parse_sums(text: str) -> dict[str, str]:
    """Path -> hash.

    Raises:
        GateFailed: for a line of another form, or a file that is named twice.
    """
    hashes: dict[str, str] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if match is None or match[2] in hashes:
            raise GateFailed(f"{FILE_NAME}: damaged line {line[:80]!r}; fetch the bundle again")
        hashes[match[2]] = match[1]
    return hashes


def hash_folder(folder: Path) -> dict[str, str]:
    """Path relative to the folder -> hash, of every file in it but SHA256SUMS."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if (path.is_file() or path.is_symlink()) and path.relative_to(folder).as_posix() != FILE_NAME
    }


def verify_bundle(bundle: Path) -> dict[str, str]:
    """Hash a bundle again, a folder or an archive.

    An archive is read, never unpacked; if its ``.sha256`` file lies beside it, that is checked first.

    Returns:
        Path -> hash of its files.

    Raises:
        SegkdError: if it is no bundle.
        GateFailed: naming every file that is changed, missing or added.
    """
    if bundle.is_dir():
        if not (bundle / FILE_NAME).is_file():
            raise SegkdError(f"{bundle} is no bundle: it has no {FILE_NAME}; `segkd release create` makes one")
        expected = parse_sums((bundle / FILE_NAME).read_text(encoding="utf-8"))
        found = hash_folder(bundle)
    elif bundle.is_file() and bundle.name.endswith(ARCHIVE_SUFFIX):
        _verify_archive_file(bundle)
        expected, found = _read_archive(bundle)
    else:
        raise SegkdError(f"{bundle} is no bundle: expected a folder or a {ARCHIVE_SUFFIX} archive")
    _compare(bundle, expected, found)
    return found


def _verify_archive_file(archive: Path) -> None:
    beside = archive.with_name(f"{archive.name}.sha256")
    if not beside.is_file():
        return
    expected = parse_sums(beside.read_text(encoding="utf-8"))
    if expected != {archive.name: sha256_file(archive)}:
        raise GateFailed(f"{archive} has changed: it does not have the hash in {beside.name}; fetch it again")


def _read_archive(archive: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The hashes that an archive states, and those that its files have."""
    found: dict[str, str] = {}
    stated = None
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = member.name.partition("/")[2]
                content = tar.extractfile(member) if member.isfile() else None
                if content is None or not name or name in found:
                    raise GateFailed(f"{archive}: {member.name} is no plain file of a bundle; fetch it again")
                data = content.read()
                found[name] = hashlib.sha256(data).hexdigest()
                if name == FILE_NAME:
                    stated = data.decode("utf-8", errors="replace")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise GateFailed(f"{archive} is damaged ({error}); fetch it again") from error
    if stated is None:
        raise SegkdError(f"{archive} is no bundle: it has no {FILE_NAME}; `segkd release create` makes one")
    del found[FILE_NAME]
    return parse_sums(stated), found


def _compare(bundle: Path, expected: dict[str, str], found: dict[str, str]) -> None:
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    problems += [f"{name} was added" for name in sorted(found.keys() - expected.keys())]
    problems += [
        f"{name} has changed" for name in sorted(expected.keys() & found.keys()) if expected[name] != found[name]
    ]
    if problems:
        raise GateFailed(f"{bundle}: {'; '.join(problems)}")
