"""Offline: all frames are there at once and are labelled in the largest batches. Its result is the throughput."""

from __future__ import annotations

from collections.abc import Iterator

from segkd_deploy.bench.scenarios.base import Calls, Frames, Scenario, back_to_back
from segkd_deploy.bench.settings import Settings
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import Runner


class Offline(Scenario):
    """One query of many frames, in batches of the largest size that the graph takes.

    Source: MLPerf Inference, scenario "Offline".
    Differs from the original: batches follow one another; several at once on one device are not tried.
    """

    name = "offline"

    def run(self, runner: Runner, batches: Iterator[Frames], out: Frames, iterations: int, duration_s: float) -> Calls:
        """Time calls back to back; see ``Scenario.run``."""
        return back_to_back(runner, batches, out, iterations, duration_s)

    def iterations(self, settings: Settings, batch: int) -> int:
        """Enough calls for the preset's number of frames."""
        if "iterations" in settings.overridden:
            return settings.iterations
        return max(settings.iterations, -(-settings.offline_frames // batch))

    def batch(self, spec: GraphSpec, batch_range: tuple[int, int] | None) -> int:
        """The largest."""
        return spec.batch or (batch_range[1] if batch_range else 1)

    def reasons(self, calls: Calls, settings: Settings, batch: int) -> list[str]:
        """Too few frames for the preset."""
        frames = len(calls.latencies_ns) * batch
        if frames >= settings.offline_frames:
            return []
        return [f"{frames} frames, preset {settings.preset} asks for {settings.offline_frames} in the offline scenario"]
