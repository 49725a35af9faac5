from __future__ import annotations

from typing import Any

import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.connection import NoSpace
from segkd_deploy.targets.verdict import check_answer

JOB = {"lease_s": 120.0, "timeout_s": 60.0, "steps": [{"passes": [0, 1]}, {"passes": [0]}]}


def check(state: str, outcome: str | None, *codes: int, free_bytes: int = 1 << 30) -> list[dict[str, Any]]:
    steps = [{"name": f"step{i}", "rc": code} for i, code in enumerate(codes)]
    status = None if outcome is None else {"outcome": outcome, "steps": steps}
    return check_answer("orin", "/kept", JOB, {"state": state, "status": status, "free_bytes": free_bytes}, "the end")


def test_a_run_that_ended_well() -> None:
    assert [step["rc"] for step in check("ended", "done", 1, 0)] == [1, 0]


@pytest.mark.parametrize(
    ("state", "outcome", "codes", "error", "message"),
    [
        ("gone", None, (), BackendMissing, "orin: the device heard nothing for 120 s and ended the run"),
        ("lost", None, (), BackendMissing, "orin: the run there was killed, or the device restarted"),
        ("ended", "timeout", (0, -15), BackendMissing, "orin: the run took more than 60 s there"),
        ("ended", "stopped", (0, -15), BackendMissing, "orin: the run was stopped there"),
        ("ended", "done", (0, -9), BackendMissing, r"orin: step1 was ended there by SIGKILL \(out of memory\?\)"),
        ("ended", "done", (0, -11), BackendMissing, "orin: step1 was ended there by SIGSEGV; run"),
        ("ended", "done", (0, 1), SegkdError, "orin: step1 ended there with exit code 1: the end"),
        ("ended", "done", (2,), SegkdError, "orin: step0: the end"),
        ("ended", "done", (3,), BackendMissing, "orin: step0: the end"),
    ],
)
def test_runs_that_did_not(
    state: str, outcome: str | None, codes: tuple[int, ...], error: type[SegkdError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        check(state, outcome, *codes)
    assert type(caught.value) is error
    with pytest.raises(NoSpace) if state != "gone" else pytest.raises(BackendMissing):
        check(state, outcome, *codes, free_bytes=1000)


def test_a_full_disk_after_a_good_run_is_no_fault() -> None:
    assert check("ended", "done", 0, 0, free_bytes=0)
