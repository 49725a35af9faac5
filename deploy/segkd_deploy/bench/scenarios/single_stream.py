"""Single stream: one call at a time, the next when it has ended. Its result is the latency."""

from __future__ import annotations

from collections.abc import Iterator

from segkd_deploy.bench.scenarios.base import Calls, Frames, Scenario, back_to_back
from segkd_deploy.runners import Runner


class SingleStream(Scenario):
    """The reference frames in turn, as fast as they are labelled.

    Source: MLPerf Inference, scenario "Single stream".
    """

    name = "single_stream"

    def run(self, runner: Runner, batches: Iterator[Frames], out: Frames, iterations: int, duration_s: float) -> Calls:
        """Time calls back to back; see ``Scenario.run``."""
        return back_to_back(runner, batches, out, iterations, duration_s)
