"""The process that samples: ``python -m segkd_deploy.telemetry.sampling_process --root / --hz 20``.

Apart from the measured process, so that neither holds the other's interpreter lock. It writes a header and then one
line of JSON per sample to standard output, and ends when standard input ends, which it does when the parent dies.
"""

from __future__ import annotations

import argparse
import select
import sys
import time
from pathlib import Path

from segkd_deploy.telemetry.sensors import Sensors


def sample_until_told(root: Path, hz: float, gpu: int) -> None:
    """Sample until standard input has something or ends; the last sample is taken after that."""
    sensors = Sensors(root, gpu)
    print(sensors.header(hz).to_line(), flush=True)
    period_ns = int(1e9 / hz)
    due_ns = time.monotonic_ns()
    told = False
    while True:
        print(sensors.read().to_line(), flush=True)
        if told:
            return
        # A late reading moves the following ones: the timestamps tell when each was taken.
        due_ns = max(due_ns + period_ns, time.monotonic_ns())
        wait_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        told = bool(select.select([sys.stdin], [], [], wait_s)[0])


def main() -> None:
    """Read the arguments and sample."""
    parser = argparse.ArgumentParser(prog="python -m segkd_deploy.telemetry.sampling_process", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--hz", type=float, default=20.0)
    parser.add_argument("--gpu", type=int, default=0)
    arguments = parser.parse_args()
    sample_until_told(arguments.root, arguments.hz, arguments.gpu)


if __name__ == "__main__":
    main()
