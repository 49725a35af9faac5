"""Reads the archive of a bundle without trusting it: a gzip stream of plain files below one folder, and nothing else.

``tarfile`` reads whatever tar programs have ever written: links, devices, sparse files, sizes and paths that a second
header replaces, several archives in a row. A bundle has none of them, so this reader knows plain files only and refuses
the rest. It holds one block in memory and writes nothing, unless it is asked to unpack.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO

from segkd.errors import GateFailed
from segkd.files.small_files import one_line, open_regular

BLOCK = 512
PIECE = 1 << 16
MAX_FILES = 20_000
MAX_NAME = 1024
# Weights hardly shrink; what becomes this much larger was made to fill memory or disks.
MAX_RATIO, RATIO_COUNTS_FROM = 200, 256 << 20
MAX_PADDING = 1 << 20
MAX_HEADER = 1 << 16
# Of extended headers, what changes nothing but times, owners and the name.
_HARMLESS = frozenset({"mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "path"})


class BundleArchive:
    """One pass over an archive.

    Args:
        path: the ``.tar.gz``.
        keep: the file whose content is kept, relative to the archive's one folder.
        keep_bytes: its largest size.
        into: a folder to unpack into; the names are checked before anything is written.

    Attributes:
        top: the one folder that everything lies in.
        hashes: path relative to it -> sha256.
        kept: content of ``keep``; None if it is not there.
    """

    def __init__(self, path: Path, keep: str, keep_bytes: int, into: Path | None = None) -> None:
        self._path = path
        self._keep, self._keep_bytes, self._into = keep, keep_bytes, into
        self._folders: set[str] = set()
        self.top = ""
        self.hashes: dict[str, str] = {}
        self.kept: bytes | None = None

    def read(self) -> BundleArchive:
        """Read all of it.

        Raises:
            GateFailed: naming what is damaged, or no part of a bundle.
            OSError: if it cannot be unpacked.
        """
        with open_regular(self._path) as file:
            stream = _Unzipped(file, self._path)
            try:
                while any(header := stream.exactly(BLOCK)):
                    self._member(header, stream)
                stream.finish()
            except (zlib.error, EOFError) as error:
                raise GateFailed(f"{self._path} is damaged ({error}); fetch it again") from error
        return self

    def _member(self, header: bytes, stream: _Unzipped) -> None:
        """One file with the headers that come before it."""
        name, size, kind = self._parse(header)
        long_name = None
        while kind in (b"L", b"x", b"g"):
            if size > MAX_HEADER:
                raise self._refused(name, "has a header of its own that is too large")
            content = stream.exactly(size)
            stream.exactly(-size % BLOCK)
            if kind == b"L":
                long_name = self._text(content.rstrip(b"\0"))
            else:
                long_name = self._extended(content, name) or long_name
            name, size, kind = self._parse(stream.exactly(BLOCK))
        name = long_name or name
        if kind not in (b"0", b"\0"):
            raise self._refused(name, "is no plain file of a bundle")
        self._file(self._inside(name), size, stream)

    def _file(self, name: str, size: int, stream: _Unzipped) -> None:
        if name == self._keep and size > self._keep_bytes:
            raise self._refused(name, f"has {size} bytes, more than it can need")
        digest, kept = hashlib.sha256(), bytearray()
        target = self._open_target(name)
        left = size
        while left:
            piece = stream.exactly(min(left, PIECE))
            left -= len(piece)
            digest.update(piece)
            if name == self._keep:
                kept += piece
            if target is not None:
                target.write(piece)
        stream.exactly(-size % BLOCK)
        if target is not None:
            target.close()
        self.hashes[name] = digest.hexdigest()
        if name == self._keep:
            self.kept = bytes(kept)

    def _open_target(self, name: str) -> BinaryIO | None:
        if self._into is None:
            return None
        path = self._into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")

    def _inside(self, name: str) -> str:
        """The path inside the archive's one folder."""
        top, _, rest = name.partition("/")
        parts = [top, *rest.split("/")]
        sound = all(parts) and not {".", ".."} & set(parts) and max(len(part.encode()) for part in parts) <= 255
        if not sound or not name.isprintable() or len(name) > MAX_NAME:
            raise self._refused(name, "is no plain file of a bundle: its path is none inside the bundle's folder")
        if self.top not in ("", top):
            raise self._refused(name, f"lies beside the bundle's folder {one_line(self.top, 60)}")
        above = {"/".join(parts[1:end]) for end in range(2, len(parts))}
        if rest in self.hashes or rest in self._folders or above & self.hashes.keys():
            raise self._refused(name, "is there twice")
        if len(self.hashes) >= MAX_FILES:
            raise GateFailed(f"{self._path}: more than {MAX_FILES} files; this is no bundle of segkd")
        self._folders |= above
        self.top = top
        return rest

    def _parse(self, header: bytes) -> tuple[str, int, bytes]:
        """Name, size and kind of a header block."""
        stated, unsigned = self._octal(header[148:156]), sum(header[:148]) + sum(header[156:]) + 8 * 0x20
        if stated != unsigned or header[257:262] != b"ustar":
            raise GateFailed(f"{self._path} is damaged (a header's checksum is wrong); fetch it again")
        name = self._text(header[:100].partition(b"\0")[0])
        prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
        return f"{self._text(prefix)}/{name}" if prefix else name, self._octal(header[124:136]), header[156:157]

    def _octal(self, field: bytes) -> int:
        digits = field.strip(b" \0")
        if not digits or digits.strip(b"01234567"):
            raise GateFailed(f"{self._path}: a header whose number is not octal; no bundle has such; fetch it again")
        return int(digits, 8)

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise GateFailed(f"{self._path}: a name that is not UTF-8; fetch it again") from error

    def _extended(self, content: bytes, name: str) -> str | None:
        """The path in a pax header; anything that changes what the file is refused."""
        found = None
        while content:
            length, space, _ = content.partition(b" ")
            if (
                not space
                or not length.isdigit()
                or len(length) > 6
                or not len(length) + 1 < int(length) <= len(content)
            ):
                raise self._refused(name, "has a damaged header")
            key, _, value = content[len(length) + 1 : int(length)].rstrip(b"\n").partition(b"=")
            content = content[int(length) :]
            if self._text(key) not in _HARMLESS:
                raise self._refused(name, f"has a header {one_line(self._text(key), 40)!r}, which no bundle has")
            found = self._text(value) if key == b"path" else found
        return found

    def _refused(self, name: str, why: str) -> GateFailed:
        return GateFailed(f"{self._path}: {one_line(name, 120)} {why}; fetch it again")


class _Unzipped:
    """The bytes inside a gzip file, a piece at a time."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._decoder = zlib.decompressobj(wbits=31)  # 31: gzip, whose checksum and length zlib then checks
        self._ready = b""
        self._given = self._taken = 0

    def exactly(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            EOFError: if there are fewer.
            GateFailed: if the stream grows beyond measure.
        """
        parts, missing = [], size
        while missing:
            if not self._ready and not self._fill():
                raise EOFError("it is cut short")
            part, self._ready = self._ready[:missing], self._ready[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Behind the last file come zeros, then the end of the stream and of the file.

        Raises:
            EOFError: if the end is missing.
            GateFailed: for anything else.
        """
        padding = 0
        while self._ready or self._fill():
            padding += len(self._ready)
            if self._ready.strip(b"\0") or padding > MAX_PADDING:
                raise GateFailed(f"{self._path}: something follows the last file; fetch it again")
            self._ready = b""
        if self._decoder.unused_data or self._file.read(1):
            raise GateFailed(f"{self._path}: something follows the end of the archive; fetch it again")

    def _fill(self) -> bool:
        """Decode the next piece; False at the end of the stream."""
        while not self._ready:
            if self._decoder.eof:
                return False
            packed = self._decoder.unconsumed_tail or self._file.read(PIECE)
            if not packed:
                raise EOFError("it is cut short")
            self._ready = self._decoder.decompress(packed, PIECE)
            self._taken += len(packed) - len(self._decoder.unconsumed_tail)
            self._given += len(self._ready)
        if self._given > RATIO_COUNTS_FROM and self._given > MAX_RATIO * self._taken:
            raise GateFailed(
                f"{self._path}: unpacks to more than {MAX_RATIO} times its size; this is no bundle of segkd"
            )
        return True
