"""Downloads that can be continued, and that count only once their checksum is right."""

from __future__ import annotations

import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from segkd.errors import SegkdError
from segkd.files import sha256_file

TIMEOUT_S = 30.0
BLOCK_BYTES = 1 << 18
Progress = Callable[[int, int | None], None]


def download(url: str, path: Path, *, sha256: str, progress: Progress | None = None) -> bool:
    """Download a file, continuing what an interrupted download left in ``<path>.part``.

    Args:
        url: http or https.
        path: where to put the file; its folder is made if need be. A file that is there with the right checksum is
            kept, one with another is never replaced by anything but a file with the right one.
        sha256: the first digits of the file's SHA-256 in lower-case hex, at least eight.
        progress: called with the bytes that are here and those of the whole file (None if the server does not say).

    Returns:
        Whether anything was downloaded.

    Raises:
        SegkdError: if the server or the disk fails (what came is kept, and the next call continues it), or if the
            checksum is wrong (what came is removed, because nothing can be made of it).
    """
    if path.is_file() and sha256_file(path).startswith(sha256):
        return False

    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, progress)

        found = sha256_file(part)
        if not found.startswith(sha256):
            part.unlink()
            raise SegkdError(
                f"{url}: expected SHA-256 {sha256}..., got {found[: len(sha256)]}...; the file was not kept. It was "
                "changed on the server or on the way: try again, and do not use it otherwise"
            )
        os.replace(part, path)
    except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError) as error:
        raise SegkdError(f"{url}: {_reason(error)}; run the same command again to continue") from error
    except OSError as error:
        raise SegkdError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another "
            "folder by XDG_CACHE_HOME, then run the same command again"
        ) from error
    return True


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Append to ``part`` until it has as many bytes as the server says; begin anew where the server wants that."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "segkd", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        # Nothing lies behind what is here: either it is complete, which the checksum tells, or it is another file.
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        part.unlink()
        _fetch(url, part, progress)
        return
    with response:
        continues = response.status == http.client.PARTIAL_CONTENT and (
            response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        )
        if not continues:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdecimal() else None
        with part.open("ab" if continues else "wb") as file:
            have = _copy(response, file, have, total, progress)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _copy(response: IO[bytes], file: IO[bytes], have: int, total: int | None, progress: Progress | None) -> int:
    """Copy a response; gives the bytes that are in the file then."""
    while True:
        try:
            block = response.read(BLOCK_BYTES)
        except http.client.IncompleteRead as error:
            block = error.partial
        if not block:
            return have
        file.write(block)
        have += len(block)
        if progress is not None:
            progress(have, total)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"cannot be reached ({error.reason})"
    return str(error) or type(error).__name__
