"""Bundles that must not verify, made from one that does, by seed."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segkd_deploy.release.checksums import FILE_NAME, format_sums, hash_folder

TOP = "net-1"
Members = list[tuple[tarfile.TarInfo, bytes]]
Mutate = Callable[[Path, random.Random], None]


def members_of(folder: Path) -> Members:
    """Headers and contents of a bundle's files."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        info = tarfile.TarInfo(f"{TOP}/{path.relative_to(folder).as_posix()}")
        info.size = path.stat().st_size
        found.append((info, path.read_bytes()))
    return found


def pack(members: Members, format_: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _extra(folder: Path, name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **pax: str) -> bytes:
    """The bundle with one more member somewhere."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.pax_headers = kind, len(content), "manifest.json", pax
    return pack([*members_of(folder), (info, content)], tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT)


# Name -> the bytes of the tar inside an archive.
TARS: dict[str, Callable[[Path], bytes]] = {
    "up": lambda folder: _extra(folder, "../x"),
    "up inside": lambda folder: _extra(folder, f"{TOP}/a/../../x"),
    "absolute": lambda folder: _extra(folder, "/tmp/x"),
    "dot": lambda folder: _extra(folder, f"{TOP}/./manifest.json"),
    "second top": lambda folder: _extra(folder, "other/x"),
    "no top": lambda folder: _extra(folder, "x"),
    "duplicate": lambda folder: _extra(folder, f"{TOP}/manifest.json", content=b"{}"),
    "below a file": lambda folder: _extra(folder, f"{TOP}/manifest.json/x"),
    "added": lambda folder: _extra(folder, f"{TOP}/x"),
    "control character": lambda folder: _extra(folder, f"{TOP}/x\n# y"),
    "long name": lambda folder: _extra(folder, f"{TOP}/{'x' * 5000}"),
    "folder": lambda folder: _extra(folder, f"{TOP}/x", tarfile.DIRTYPE),
    "link": lambda folder: _extra(folder, f"{TOP}/x", tarfile.SYMTYPE),
    "hard link": lambda folder: _extra(folder, f"{TOP}/x", tarfile.LNKTYPE),
    "pipe": lambda folder: _extra(folder, f"{TOP}/x", tarfile.FIFOTYPE),
    "device": lambda folder: _extra(folder, f"{TOP}/x", tarfile.CHRTYPE),
    "disk": lambda folder: _extra(folder, f"{TOP}/x", tarfile.BLKTYPE),
    "contiguous": lambda folder: _extra(folder, f"{TOP}/x", tarfile.CONTTYPE),
    "sparse": lambda folder: _extra(folder, f"{TOP}/x", tarfile.GNUTYPE_SPARSE),
    "pax size": lambda folder: _extra(folder, f"{TOP}/x", size="7"),
    "pax sparse": lambda folder: _extra(folder, f"{TOP}/x", **{"GNU.sparse.major": "1"}),
    "pax link": lambda folder: _extra(folder, f"{TOP}/x", linkpath="/etc/passwd"),
    "pax name": lambda folder: _extra(folder, f"{TOP}/x", path="../x"),
    "junk after the end": lambda folder: pack(members_of(folder)) + b"junk",
    "tar after the end": lambda folder: pack(members_of(folder)) + pack(members_of(folder)),
    "no end": lambda folder: pack(members_of(folder)).rstrip(b"\0"),
    "nothing": lambda folder: bytes(1024),
    "sums alone": lambda folder: pack([_member(FILE_NAME, b"")]),
}


def _member(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(f"{TOP}/{name}")
    info.size = len(content)
    return info, content


def _flipped(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    # The first ten bytes of gzip hold a time and the system, which say nothing of the content.
    changed[random_.randrange(10, len(data))] ^= 1 << random_.randrange(8)
    return bytes(changed)


# Name -> the bytes of an archive, from those of a good one.
STREAMS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bit": _flipped,
    "cut": lambda data, random_: data[: random_.randrange(1, len(data))],
    "trailer cut": lambda data, random_: data[: -random_.randrange(1, 9)],
    "junk": lambda data, random_: data + random_.randbytes(random_.randrange(1, 99)),
    "zeros": lambda data, random_: data + bytes(random_.randrange(1, 99)),
    "second stream": lambda data, random_: data + gzip.compress(b""),
    "twice": lambda data, random_: data + data,
}


def rehash(folder: Path) -> None:
    (folder / FILE_NAME).unlink(missing_ok=True)
    (folder / FILE_NAME).write_text(format_sums(hash_folder(folder)))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values that hold no others."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return [path]
    return [leaf for key, child in items for leaf in leaves(child, (*path, key))]


def break_json(path: Path, random_: random.Random) -> str:
    """Replace, or leave out, one value of a JSON file; returns what was done."""
    content = json.loads(path.read_text())
    place = random_.choice(leaves(content))
    place = place[: random_.randint(1, len(place))]
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    value = random_.choice([None, "text", -1, 1e300, [], {}, [[]], {"a": {}}, False, "drop"])
    if value == parent[place[-1]]:
        value = "other"
    if value == "drop":
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    path.write_text(json.dumps(content))
    return f"{path.name}: {place} = {value!r}"


def special(folder: Path, kind: str) -> None:
    """Put something that is no plain file into a bundle's folder."""
    path = folder / "reference" / "more"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "sums are a pipe":
        (folder / FILE_NAME).unlink()
        os.mkfifo(folder / FILE_NAME)
    elif kind == "sums are endless":
        (folder / FILE_NAME).unlink()
        (folder / FILE_NAME).symlink_to("/dev/zero")
    elif kind == "sums of another encoding":
        (folder / FILE_NAME).write_bytes(b"\xff" + (folder / FILE_NAME).read_bytes())
    elif kind == "sums of 6 GB":
        os.truncate(folder / FILE_NAME, 6 << 30)
    elif kind == "many long names":
        for number in range(300):
            (folder / f"{number:03}{'x' * 240}").touch()
    else:
        path.symlink_to({"link": "../manifest.json", "loop": "more", "device": "/dev/zero"}[kind])
