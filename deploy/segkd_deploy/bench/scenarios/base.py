"""What every scenario offers, and what it records."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd_deploy.bench.settings import Settings
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import Runner

Frames = NDArray[np.uint8]


@dataclass
class Calls:
    """Timed calls of a runner, in order; times are of ``time.perf_counter_ns``.

    Attributes:
        latencies_ns: what each call took, or, at a fixed rate, from when its frame was due to its labels.
        starts_ns: when each call began.
        stage_names: the stages that the runtime can tell apart.
        stages_ms: their milliseconds, all stages of the first call, then all of the second, and so on.
        due_ns: when each frame was due; empty where frames are always there.
        dropped: frames that were never labelled, because a newer one was there.
        begin_ns: when the first call could begin.
        end_ns: when the last one had ended.
    """

    latencies_ns: list[int] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    stage_names: tuple[str, ...] = ()
    stages_ms: array[float] = field(default_factory=lambda: array("d"))
    due_ns: list[int] = field(default_factory=list)
    dropped: int = 0
    begin_ns: int = 0
    end_ns: int = 0

    @property
    def duration_s(self) -> float:
        """Wall time of the calls and what lies between them."""
        return (self.end_ns - self.begin_ns) / 1e9

    def services_ns(self) -> list[int]:
        """What each call took, without the time that its frame waited."""
        if not self.due_ns:
            return self.latencies_ns
        return [
            latency + due - start
            for latency, due, start in zip(self.latencies_ns, self.due_ns, self.starts_ns, strict=True)
        ]

    def keep_stages(self, stages: dict[str, float]) -> None:
        """Keep the stages of the last call."""
        if not self.stage_names:
            self.stage_names = tuple(stages)
        self.stages_ms.extend(stages.values())

    def stages(self) -> dict[str, NDArray[np.float64]]:
        """Stage -> milliseconds of every call."""
        if not self.stage_names:
            return {}
        table = np.frombuffer(self.stages_ms, np.float64).reshape(-1, len(self.stage_names))
        return {name: table[:, column] for column, name in enumerate(self.stage_names)}


class Scenario(ABC):
    """How frames reach the network.

    Attributes:
        name: as it stands in ``bench.json``.
    """

    name: str

    @abstractmethod
    def run(self, runner: Runner, batches: Iterator[Frames], out: Frames, iterations: int, duration_s: float) -> Calls:
        """Time calls, at least ``iterations`` and at least ``duration_s`` seconds.

        Args:
            runner: an open runner.
            batches: never ends; each is uint8, C-contiguous, of the shape ``runner.spec.frames_shape(N)``.
            out: uint8, where the labels go.
            iterations: calls.
            duration_s: seconds.
        """

    def iterations(self, settings: Settings, batch: int) -> int:
        """How many calls the settings ask for, at least."""
        return settings.iterations

    def batch(self, spec: GraphSpec, batch_range: tuple[int, int] | None) -> int:
        """Frames per call when nothing is said."""
        return spec.batch or (batch_range[0] if batch_range else 1)

    def describe(self) -> dict[str, Any]:
        """Its options, for ``bench.json``."""
        return {}

    def results(self, calls: Calls, batch: int) -> dict[str, Any]:
        """What it measured beyond latency, for ``bench.json``."""
        return {}

    def reasons(self, calls: Calls, settings: Settings, batch: int) -> list[str]:
        """Why the calls must not be used."""
        return []


def back_to_back(runner: Runner, batches: Iterator[Frames], out: Frames, iterations: int, duration_s: float) -> Calls:
    """Each call begins when the one before has ended."""
    calls = Calls()
    latencies_ns, starts_ns = calls.latencies_ns, calls.starts_ns
    clock, infer = time.perf_counter_ns, runner.infer
    calls.begin_ns = clock()
    deadline_ns = calls.begin_ns + int(duration_s * 1e9)
    while len(latencies_ns) < iterations or clock() < deadline_ns:
        frames = next(batches)
        before_ns = clock()
        infer(frames, out)
        latencies_ns.append(clock() - before_ns)
        starts_ns.append(before_ns)
        calls.keep_stages(runner.last_stages_ms)
    calls.end_ns = clock()
    return calls


def batches_of(frames: Frames, batch: int) -> Sequence[Frames]:
    """All frames in batches; the last one wraps to the first frames."""
    return [
        np.ascontiguousarray(frames.take(range(start, start + batch), axis=0, mode="wrap"))
        for start in range(0, len(frames), batch)
    ]
