"""A runner that sleeps instead of labelling, for tests of what times it."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd_deploy.bench.settings import Settings
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import Runner


class SleepyRunner(Runner):
    """Sleeps; remembers the frames that it saw and whether the garbage collector was on."""

    def __init__(self, sleep_s: float = 0.0, batch: int | None = 1) -> None:
        super().__init__(Path("none"))
        self.spec = GraphSpec(batch, 2, 2, 3)
        self.sleep_s = sleep_s
        self.seen: list[list[int]] = []
        self.collecting: list[bool] = []

    def __enter__(self) -> SleepyRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        return None

    def infer(self, frames: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        assert frames.flags.c_contiguous and out is not None
        self.seen.append(frames[:, 0, 0, 0].tolist())
        self.collecting.append(gc.isenabled())
        time.sleep(self.sleep_s)
        self.last_stages_ms = {"compute": float(len(self.seen))}
        return out

    def describe(self) -> dict[str, Any]:
        return {}


def frames(count: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 3))


def settings(iterations: int = 1, duration_s: float = 0.0, warmup: int = 0, warmup_s: float = 0.0, **more) -> Settings:
    return Settings("quick", iterations, duration_s, warmup, warmup_s, None, 1, **more)
