"""Fixed rate: frames come as a camera gives them, whether the network is ready or not."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from segkd.errors import SegkdError, unknown_name
from segkd_deploy.bench.latency import summarise
from segkd_deploy.bench.scenarios.base import Calls, Frames, Scenario
from segkd_deploy.bench.settings import Settings
from segkd_deploy.runners import Runner

# What happens to a frame while an older one is being labelled.
LATE = {
    "drop": "only the newest waits: a frame is dropped when the next is due before its turn has come",
    "queue": "all wait",
}

# A queue that needs this many times as long as its frames came, and seconds more, never ends.
_LONGEST, _MARGIN_S = 2, 1.0


class FixedRate(Scenario):
    """A frame (of every camera, if there are several per call) is due every ``1 / fps`` seconds.

    Latency runs from the moment when the frame is due, so waiting counts; a clock that starts when the call starts
    would hide it. Between frames the process sleeps and the device may lower its clocks, as in the real system.

    Args:
        fps: frames per second of the camera, above 0.
        deadline_ms: labels that come later after the frame was due have missed it; None for the time between frames.
        late: a key of ``LATE``.

    Raises:
        SegkdError: for a rate or deadline that is not above 0, or an unknown ``late``.
    """

    name = "fixed_rate"

    def __init__(self, fps: float, deadline_ms: float | None = None, late: str = "drop") -> None:
        if not fps > 0:
            raise SegkdError(f"fps: expected above 0, got {fps:g}")
        if deadline_ms is not None and not deadline_ms > 0:
            raise SegkdError(f"deadline: expected above 0 ms, got {deadline_ms:g}")
        if late not in LATE:
            raise unknown_name("treatment of late frames", late, LATE)
        self.fps, self.late = fps, late
        self.period_ns = max(1, round(1e9 / fps))
        self.deadline_ms = self.period_ns / 1e6 if deadline_ms is None else deadline_ms

    def run(self, runner: Runner, batches: Iterator[Frames], out: Frames, iterations: int, duration_s: float) -> Calls:
        """Time calls, each no earlier than its frame is due; see ``Scenario.run``.

        After ``iterations`` calls a queue that grows without end is left as it is; ``reasons`` says so.
        """
        calls = Calls()
        clock, infer, period_ns = time.perf_counter_ns, runner.infer, self.period_ns
        calls.begin_ns = due_ns = clock()
        last_due_ns = calls.begin_ns + int(duration_s * 1e9)
        longest_ns = _LONGEST * max(int(duration_s * 1e9), iterations * period_ns) + int(_MARGIN_S * 1e9)
        while len(calls.latencies_ns) < iterations or due_ns < last_due_ns:
            if len(calls.latencies_ns) >= iterations and clock() - calls.begin_ns > longest_ns:
                break
            frames = next(batches)
            if self.late == "drop":
                newer = max(0, clock() - due_ns) // period_ns
                calls.dropped += newer
                due_ns += newer * period_ns
            while (wait_ns := due_ns - clock()) > 0:
                time.sleep(wait_ns / 1e9)
            before_ns = clock()
            infer(frames, out)
            calls.latencies_ns.append(clock() - due_ns)
            calls.starts_ns.append(before_ns)
            calls.due_ns.append(due_ns)
            calls.keep_stages(runner.last_stages_ms)
            due_ns += period_ns
        # The window ends when the next frame would be due: the time until then belongs to the last one.
        calls.end_ns = max(clock(), due_ns)
        return calls

    def describe(self) -> dict[str, Any]:
        """Rate, deadline and what happens to late frames."""
        return {"fps": self.fps, "deadline_ms": self.deadline_ms, "late": self.late}

    def results(self, calls: Calls, batch: int) -> dict[str, Any]:
        """Deadlines, and what the calls took without waiting.

        Returns:
            ``frames_due``, ``labelled``, ``dropped``, ``late`` (labelled after the deadline), ``missed`` (late or
            dropped), ``missed_fraction`` 0..1, ``service_ms`` (statistics of the calls alone) and ``utilisation``
            (share of the time spent in calls); one per camera and period, however many cameras there are.
        """
        labelled, services_ns = len(calls.latencies_ns), calls.services_ns()
        late = sum(latency > self.deadline_ms * 1e6 for latency in calls.latencies_ns)
        missed, due = late + calls.dropped, labelled + calls.dropped
        return {
            "frames_due": due,
            "labelled": labelled,
            "dropped": calls.dropped,
            "late": late,
            "missed": missed,
            "missed_fraction": missed / due,
            "service_ms": summarise(services_ns),
            "utilisation": sum(services_ns) / (calls.end_ns - calls.begin_ns),
        }

    def reasons(self, calls: Calls, settings: Settings, batch: int) -> list[str]:
        """In a queue that grows latency says how long the measurement took, not how fast the device is."""
        service_ms, period_ms = summarise(calls.services_ns())["mean"], self.period_ns / 1e6
        if self.late == "drop" or service_ms <= period_ms:
            return []
        text = (
            f"a call takes {service_ms:.3g} ms and frames come every {period_ms:.3g} ms: the queue grows without end; "
            "lower --fps or use --late drop"
        )
        labelled, planned = len(calls.latencies_ns), math.ceil(int(settings.duration_s * 1e9) / self.period_ns)
        if labelled < planned:
            text += f" (stopped after {calls.duration_s:.1f} s, with {labelled} of {planned} frames labelled)"
        return [text]
