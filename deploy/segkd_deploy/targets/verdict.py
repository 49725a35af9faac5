"""How a run on a device ended, as one line and an exit code."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.connection import NoSpace

# A disk with less room than this counts as full.
_FULL_BYTES = 1 << 20


def check_answer(
    name: str, folder: str, job: dict[str, Any], answer: dict[str, Any], last_line: str
) -> list[dict[str, Any]]:
    """The steps of a job that did what it should.

    Args:
        name: the device.
        folder: where it keeps files.
        job: what was started.
        answer: the last answer to ``poll``.
        last_line: of the log.

    Raises:
        NoSpace: if it failed and the disk there is full.
        BackendMissing: if it was killed, took too long, or something is missing there.
        SegkdError: if a step failed there.
    """
    status = answer.get("status")
    if answer["state"] == "gone":
        raise BackendMissing(
            f"{name}: the device heard nothing for {job['lease_s']:g} s and ended the run; give more with --lease"
        )
    done: list[dict[str, Any]] = [] if status is None else status["steps"]
    bad = status is None or status["outcome"] != "done" or not _passed(done, job["steps"])
    if bad and answer["free_bytes"] < _FULL_BYTES:
        raise NoSpace(f"{name}: no space left on the device: {folder} is full; the run there failed")
    if status is None:
        raise BackendMissing(f"{name}: the run there was killed, or the device restarted; run it again")
    if status["outcome"] == "timeout":
        raise BackendMissing(f"{name}: the run took more than {job['timeout_s']:g} s there; give more with --timeout")
    if status["outcome"] != "done":
        raise BackendMissing(f"{name}: the run was stopped there")
    if bad:
        raise _failed_step(name, done[-1], last_line)
    return done


def _passed(done: Sequence[dict[str, Any]], steps: Sequence[dict[str, Any]]) -> bool:
    return len(done) == len(steps) and done[-1]["rc"] in steps[-1]["passes"]


def _failed_step(name: str, step: dict[str, Any], last_line: str) -> SegkdError:
    if step["rc"] < 0:
        killer = signal.Signals(-step["rc"]).name
        hint = " (out of memory?)" if killer == "SIGKILL" else ""
        return BackendMissing(f"{name}: {step['name']} was ended there by {killer}{hint}; run it again")
    if step["rc"] == BackendMissing.exit_code:
        return BackendMissing(f"{name}: {step['name']}: {last_line}")
    if step["rc"] == SegkdError.exit_code:
        return SegkdError(f"{name}: {step['name']}: {last_line}")
    return SegkdError(f"{name}: {step['name']} ended there with exit code {step['rc']}: {last_line}")
