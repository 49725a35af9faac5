"""Sweeps: the same measurement for several batches and numbers of threads."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence

from segkd.errors import SegkdError, unknown_name
from segkd.manifest import Input
from segkd_deploy.bench.run_options import RunOptions

# What can be swept: fields of RunOptions.
AXES = ("batch", "threads")


def parse_sweep(texts: Sequence[str]) -> dict[str, list[int]]:
    """Read ``batch=1,2,4`` and ``threads=1,2``.

    Returns:
        Axis -> its values, in the order given.

    Raises:
        SegkdError: for an unknown axis, one that is there twice, or values that are no positive whole numbers or not
            all different.
    """
    axes: dict[str, list[int]] = {}
    for text in texts:
        axis, equals, values = text.partition("=")
        if not equals or not values:
            raise SegkdError(f"--sweep: expected AXIS=VALUE,VALUE such as batch=1,2,4, got {text!r}")
        if axis not in AXES:
            raise unknown_name("axis of a sweep", axis, AXES)
        if axis in axes:
            raise SegkdError(f"--sweep: {axis} is there twice; write all its values after one {axis}=")
        words = [word.strip() for word in values.split(",")]
        if not all(word.isdecimal() and int(word) for word in words) or len({int(word) for word in words}) < len(words):
            raise SegkdError(f"--sweep: {axis}: expected different whole numbers above 0, got {values!r}")
        axes[axis] = [int(word) for word in words]
    return axes


def sweep_points(options: RunOptions, axes: Mapping[str, Sequence[int]]) -> list[RunOptions]:
    """Every combination of the values, the last axis fastest; no points without axes.

    Raises:
        SegkdError: for a threads axis on a runtime that has no threads of its own.
    """
    if not axes:
        return []
    if "threads" in axes and options.runtime != "onnxruntime":
        raise SegkdError(f"--sweep: threads belong to onnxruntime; {options.runtime} runs on the GPU")
    values = itertools.product(*axes.values())
    return [_changed(options, dict(zip(axes, value, strict=True))) for value in values]


def check_batches(batches: Iterable[int], frame: Input) -> None:
    """Refuse frames per call that a graph does not take, before anything is measured.

    Raises:
        SegkdError: naming the export that takes them.
    """
    least, most = frame.batch_range or (frame.batch or 1, frame.batch or 1)
    refused = [batch for batch in batches if not least <= batch <= most]
    if not refused:
        return
    takes = f"graph takes {least}" if least == most else f"artifact takes {least} to {most}"
    ends = f"{min(least, *refused)}-{max(most, *refused)}"
    raise SegkdError(
        f"batch: the {takes} frames per call, got {', '.join(map(str, refused))}; "
        f"make an artifact that takes them with `segkd export RUN --batch {ends}`"
    )


def _changed(options: RunOptions, numbers: Mapping[str, int]) -> RunOptions:
    return dataclasses.replace(
        options, batch=numbers.get("batch", options.batch), threads=numbers.get("threads", options.threads)
    )
