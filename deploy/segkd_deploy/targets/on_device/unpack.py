"""Unpacks wheels into one folder that Python can import from: ``unpack.py TARGET BLOB...``.

A wheel of the right kind needs no installation: its files, laid out as they are, are the package. So the device needs
neither pip nor venv, and the system's own packages (a Jetson's TensorRT) stay visible.
"""

import errno
import os
import shutil
import sys
import zipfile
from pathlib import Path


def unpack(blob: Path, folder: Path) -> None:
    """Lay one wheel out."""
    with zipfile.ZipFile(blob) as archive:
        for member in archive.infolist():
            parts = Path(member.filename).parts
            if parts[0].endswith(".data"):
                if parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            if ".." in parts or Path(member.filename).is_absolute():
                raise ValueError(f"{blob.name}: {member.filename} does not lie inside the wheel")
            if member.is_dir():
                continue
            path = folder.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def main() -> None:
    """Unpack into a folder beside the target, then rename it."""
    target, blobs = Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]]
    if target.is_dir():
        os.utime(target)
        return
    if not blobs:
        sys.exit("what was unpacked here has just gone; run it again")

    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)

    try:
        for blob in blobs:
            unpack(blob, temporary)
        temporary.replace(target)
        for blob in blobs:  # the folder is what is kept
            blob.unlink(missing_ok=True)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit("no space left on the device")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

    print(f"unpacked {len(blobs)} wheels")


if __name__ == "__main__":
    main()
