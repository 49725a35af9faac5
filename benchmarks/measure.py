"""CPU time of interleaved jobs, and the peak memory of one job in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

SHORTEST_SAMPLE_MS = 30.0
LARGEST_NUMBER = 20


class Job(NamedTuple):
    """A loss and the tensors that its backward pass fills.

    Attributes:
        loss: makes the scalar.
        leaves: their gradients are dropped before every run.
    """

    loss: Callable[[], Tensor]
    leaves: list[Tensor]


def run(job: Job) -> Tensor:
    """Forward and backward; returns the detached loss."""
    for leaf in job.leaves:
        leaf.grad = None
    loss = job.loss()
    loss.backward()
    return loss.detach()


def cpu_ms(job: Job, number: int = 1) -> float:
    """CPU milliseconds of one run, over all threads; the mean of ``number`` runs in a row."""
    before = time.process_time()
    for _ in range(number):
        run(job)
    return (time.process_time() - before) * 1e3 / number


def interleaved(jobs: dict[str, Job], repeats: int, progress: Callable[[str], None]) -> dict[str, list[float]]:
    """Samples of every job, in rounds: each round runs all of them, every other round in the opposite order.

    A job's first run, which is not sampled, warms up; it also says how many runs make a sample of about 30 ms.
    """
    numbers = {}
    for name, job in jobs.items():
        progress(f"warming up: {name}")
        first = cpu_ms(job)
        # A short job's first run says little: it mostly allocates.
        once = cpu_ms(job) if repeats > 1 and first < 10 * SHORTEST_SAMPLE_MS else first
        numbers[name] = min(LARGEST_NUMBER, max(1, round(SHORTEST_SAMPLE_MS / max(once, 1e-3))))
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    gc.collect()
    gc.disable()
    for repeat in range(repeats):
        order = list(jobs) if repeat % 2 == 0 else list(reversed(jobs))
        for name in order:
            progress(f"round {repeat + 1} of {repeats}: {name}")
            samples[name].append(cpu_ms(jobs[name], numbers[name]))
    gc.enable()
    return samples


def spread(samples: list[float]) -> dict[str, float]:
    """Median and smallest sample, rounded to microseconds."""
    return {"median_ms": round(statistics.median(samples), 3), "min_ms": round(min(samples), 3)}


def without_spinning() -> None:
    """Start this script again with threads that sleep while they wait for each other.

    By default OpenMP's threads turn in a loop, which counts as CPU time: on a busy machine a loss of 1 ms then seems to
    take 50. The setting is read when the library is loaded, so it has to be there before.
    """
    if os.environ.get("OMP_WAIT_POLICY") is None:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})


class Peak(NamedTuple):
    """Memory of a job in a process of its own, in MB of 10^6 bytes.

    Attributes:
        job_mb: what the first run added at its peak, gradients included and inputs not.
        process_mb: the process at its peak, libraries and inputs included.
    """

    job_mb: float
    process_mb: float


def own_peak(make: Callable[[], Job]) -> Peak:
    """Make and run a job once in this process, which has run nothing before."""
    job = make()
    gc.collect()
    before = _status_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    run(job)
    peak = _status_mb("VmHWM")
    return Peak(round(peak - before, 1), round(max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3), 1))


def _status_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {field} in /proc/self/status: peak memory is measured on Linux only")


def peak_of(script: str, *words: str) -> Peak:
    """Run ``script`` again with ``words``, which make it print its ``own_peak`` as JSON."""
    done = subprocess.run([sys.executable, script, *words], check=True, stdout=subprocess.PIPE, text=True)
    return Peak(*json.loads(done.stdout))


def calibration() -> dict[str, Job]:
    """Two jobs that any machine can run: one bound by arithmetic, one by memory."""
    left, right = torch.randn(2048, 2048, requires_grad=True), torch.randn(2048, 2048)
    exponents = torch.randn(2**24, requires_grad=True)
    return {
        "calib_matmul2048_fwd_bwd": Job(lambda: (left @ right).sum(), [left]),
        "calib_exp_16M_fwd_bwd": Job(lambda: exponents.exp().sum(), [exponents]),
    }


def to_stderr(text: str) -> None:
    """One line of progress, over the last one."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
