"""What a step of each method costs beside the networks: CPU time of its terms, forward + backward, and peak memory.

    python benchmarks/method_cost.py [--methods cwd,fitnet] [--json]

All methods with their defaults, for two frames of 256 x 512 through a PSPNet-R18 student and a PSPNet-R101 teacher:
random taps and logits of their widths at stride 8 (c1: 4), random labels, 19 classes. The first column of numbers is
the median of interleaved samples, the second how many times plain KD that is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import torch
from measure import Job, interleaved, own_peak, peak_of, to_stderr, without_spinning
from torch import Tensor

from segkd_distill.methods import METHODS, build_method
from segkd_distill.methods.base import StepContext
from segkd_distill.models.output import TAPS, SegOutput, TapInfo

CLASSES = 19
IMAGES, HEIGHT_PX, WIDTH_PX = 2, 256, 512
STRIDES = dict(zip((*TAPS, "logits"), (4, *[8] * 7), strict=True))
STUDENT_WIDTHS = dict(zip(TAPS, (64, 128, 256, 512, 512, 128, 128), strict=True))
TEACHER_WIDTHS = dict(zip(TAPS, (256, 512, 1024, 2048, 2048, 512, 512), strict=True))


def output(widths: dict[str, int], taps: Sequence[str], seed: int, *, grad: bool) -> SegOutput:
    """Random logits and taps of one network."""
    rng = torch.Generator().manual_seed(seed)

    def made(name: str, channels: int) -> Tensor:
        grid = HEIGHT_PX // STRIDES[name], WIDTH_PX // STRIDES[name]
        return torch.randn(IMAGES, channels, *grid, generator=rng).requires_grad_(grad)

    return SegOutput(made("logits", CLASSES), None, {tap: made(tap, widths[tap]) for tap in sorted(taps)})


def job(name: str) -> Job:
    """All terms of a method, built for the pair of networks."""
    student, teacher = (TapInfo(widths, STRIDES, CLASSES) for widths in (STUDENT_WIDTHS, TEACHER_WIDTHS))
    torch.manual_seed(0)
    method = build_method(name, student=student, teacher=teacher, num_classes=CLASSES)
    outputs = (
        output(STUDENT_WIDTHS, list(method.needs.student_taps), 1, grad=True),
        output(TEACHER_WIDTHS, list(method.needs.teacher_taps), 2, grad=False),
    )
    labels = torch.randint(0, CLASSES, (IMAGES, HEIGHT_PX // 16, WIDTH_PX // 16))
    labels = labels.repeat_interleave(16, 1).repeat_interleave(16, 2)
    labelled = torch.ones(IMAGES, dtype=torch.bool)
    step = iter(range(1_000_000))

    def loss() -> Tensor:
        ctx = StepContext(next(step), 1_000_000, 0, 255, labelled)
        method.before_step(ctx)
        terms = method(*outputs, labels, ctx)
        method.after_step(ctx)
        return torch.stack(list(terms.values())).sum()

    return Job(loss, [outputs[0].logits, *outputs[0].taps.values(), *method.parameters()])


def measured(names: Sequence[str], repeats: int, threads: int, memory: bool) -> list[dict[str, Any]]:
    """One row per method; KD is always measured, as the unit."""
    peaks = {}
    if memory:
        peaks = {name: peak_of(__file__, "--threads", str(threads), "--peak", name).job_mb for name in names}
    samples = interleaved({name: job(name) for name in {"kd": 0, **dict.fromkeys(names)}}, repeats, to_stderr)
    to_stderr("")
    medians = {name: statistics.median(values) for name, values in samples.items()}
    return [
        {
            "name": name,
            "cpu_ms": round(medians[name], 3),
            "times_kd": round(medians[name] / medians["kd"], 1),
            "peak_mb": peaks.get(name),
        }
        for name in names
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated (all)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="no peaks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", metavar="METHOD", help=argparse.SUPPRESS)
    args = parser.parse_args(sys.argv[1:] if words is None else words)
    torch.set_num_threads(args.threads)
    if args.peak:
        print(json.dumps(own_peak(lambda: job(args.peak))))
        return
    rows = measured(args.methods.split(","), args.repeats, args.threads, args.memory)
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    print("| method | CPU ms | times kd | peak MB |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['name']} | {row['cpu_ms']:.1f} | {row['times_kd']:.1f} | {row['peak_mb'] or '-'} |")


if __name__ == "__main__":
    without_spinning()
    main()
