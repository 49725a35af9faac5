"""Runs the steps of one job, holds the lock meanwhile, and ends them when nobody asks for them any more.

``supervisor.py JOB_FOLDER LOCK_DESCRIPTOR``. The process is in a session of its own: no connection's end reaches it.
"""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TICK_S = 0.1
GRACE_S = 5.0
# The status keeps this many bytes, so that a job can still say that the disk was full.
STATUS_BYTES = 4096
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """One job.

    Args:
        folder: the job's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job: dict[str, Any] = json.loads((folder / "job.json").read_bytes())
        self.steps: list[dict[str, Any]] = []
        self.terminated = False
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._lease = (0.0, time.monotonic())
        with contextlib.suppress(OSError):
            (folder / "status.reserved").write_bytes(b" " * STATUS_BYTES)

    def run(self) -> str:
        """Run the steps in order; one that ends with a code it may not end with is the last.

        Returns:
            ``done``, or why the job was cut short: ``stopped``, ``timeout``, ``lease``.
        """
        end = time.monotonic() + self.job["timeout_s"]
        for step in self.job["steps"]:
            self._say(f"=== {step['name']}")
            start = time.monotonic()
            code, cut = self._step(step, end)
            seconds = round(time.monotonic() - start, 3)
            self.steps.append({"name": step["name"], "rc": code, "seconds": seconds})
            if cut is not None:
                return cut
            if code not in step["passes"]:
                break
        return "done"

    def finish(self, outcome: str) -> None:
        """Write the status; a job that nobody waits for leaves nothing."""
        if outcome == "lease":
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        content = json.dumps({"outcome": outcome, "steps": self.steps}).encode().ljust(STATUS_BYTES)
        reserved = self.folder / "status.reserved"
        with reserved.open("r+b") as file:
            file.write(content)
        reserved.replace(self.folder / "status.json")

    def _step(self, step: dict[str, Any], end: float) -> tuple[int | None, str | None]:
        env = {**os.environ, **self.job["env"], "PYTHONUNBUFFERED": "1"}
        env["PYTHONPATH"] = os.pathsep.join([*self.job["paths"], *filter(None, [env.get("PYTHONPATH")])])
        # A step must not outlive this process, whatever ends it.
        child = subprocess.Popen(
            [word.replace("{python}", sys.executable) for word in step["argv"]],
            stdin=subprocess.DEVNULL,
            env=env,
            cwd=self.folder,
            start_new_session=True,
            preexec_fn=lambda: self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        group = self.folder / "group"
        with contextlib.suppress(OSError):
            group.write_text(str(child.pid))
        try:
            while child.poll() is None:
                cut = self._cut(end)
                if cut is not None:
                    return self._kill(child), cut
                time.sleep(TICK_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            group.unlink(missing_ok=True)
        return child.returncode, None

    def _cut(self, end: float) -> str | None:
        if self.terminated or (self.folder / "stop").exists():
            return "stopped"
        if time.monotonic() > end:
            return "timeout"
        # Only that the time stamp changes counts: the device's clock may jump.
        with contextlib.suppress(FileNotFoundError):
            stamp = (self.folder / "lease").stat().st_mtime
            if stamp != self._lease[0]:
                self._lease = (stamp, time.monotonic())
        return "lease" if time.monotonic() - self._lease[1] > self.job["lease_s"] else None

    def _kill(self, child: "subprocess.Popen[bytes]") -> int | None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            return child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            return child.wait()

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            print(line, flush=True)


def main() -> None:
    """Run the job and free the lock."""
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    os.umask(0o077)
    supervisor = Supervisor(folder)

    def terminate(*_: object) -> None:
        supervisor.terminated = True

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        supervisor.finish(supervisor.run())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.ftruncate(lock, 0)


if __name__ == "__main__":
    main()
