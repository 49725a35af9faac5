"""A machine that does nothing else, for tests whose subject is not the load of the one that they run on."""

from __future__ import annotations

import pytest


def be_quiet(patch: pytest.MonkeyPatch) -> None:
    """Let `segkd bench` see no other process and no drift, whatever this machine does meanwhile."""
    patch.setattr("segkd_deploy.bench.run.others_share", lambda before, after: 0.0)
    patch.setattr("segkd_deploy.bench.run.busy", lambda load, cpus: [])
    patch.setattr("segkd_deploy.bench.timing.drift", lambda latencies_ns: 0.0)
