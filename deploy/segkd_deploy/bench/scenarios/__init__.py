"""How frames reach the network, found through one table."""

from __future__ import annotations

import importlib
from typing import Any

from segkd.errors import SegkdError, unknown_name
from segkd_deploy.bench.scenarios.base import Calls, Scenario

__all__ = ["SCENARIOS", "Calls", "Scenario", "make_scenario"]

SCENARIOS: dict[str, str] = {
    "single-stream": "segkd_deploy.bench.scenarios.single_stream:SingleStream",
    "offline": "segkd_deploy.bench.scenarios.offline:Offline",
    "fixed-rate": "segkd_deploy.bench.scenarios.fixed_rate:FixedRate",
}


def make_scenario(name: str, **options: Any) -> Scenario:
    """Make a scenario.

    Args:
        name: a key of ``SCENARIOS``.
        options: of its class.

    Raises:
        SegkdError: for an unknown scenario, or options that do not fit.
    """
    if name not in SCENARIOS:
        raise unknown_name("scenario", name, SCENARIOS)
    if name == "fixed-rate" and "fps" not in options:
        raise SegkdError("scenario fixed-rate needs the camera's rate: --fps 30")
    if name != "fixed-rate" and options:
        raise SegkdError(f"{', '.join(options)} belong to --scenario fixed-rate, not to {name}")
    module, attribute = SCENARIOS[name].split(":")
    scenario: Scenario = getattr(importlib.import_module(module), attribute)(**options)
    return scenario
