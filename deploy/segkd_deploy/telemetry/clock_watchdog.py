"""The process that puts the clocks back if the one that locked them dies, even by SIGKILL.

``python -m segkd_deploy.telemetry.clock_watchdog ROOT`` says ``ready`` and waits for its standard input. A word means
that its parent has put the clocks back itself; the end of the input means that the parent is gone. It also holds the
parent's lock file open, so that no other run begins before it is done.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from segkd_deploy.telemetry.clock_settings import restore_saved


class _Told(BaseException):
    """A signal asked the process to end."""


def _end(number: int, frame: FrameType | None) -> None:
    raise _Told


def main() -> None:
    """Wait, and restore unless the parent did."""
    root = Path(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    print("ready", flush=True)
    try:
        done = sys.stdin.readline()
    except _Told:
        done = ""
    if done:
        return
    for failure in restore_saved(root):
        print(failure, file=sys.stderr)


if __name__ == "__main__":
    main()
