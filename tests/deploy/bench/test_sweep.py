from __future__ import annotations

import pytest

from segkd.errors import SegkdError
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.bench.sweep import parse_sweep, sweep_points


def test_every_combination_the_last_axis_fastest() -> None:
    axes = parse_sweep(["batch=1,4", "threads=1, 2"])
    assert axes == {"batch": [1, 4], "threads": [1, 2]}
    points = sweep_points(RunOptions(provider="openvino"), axes)
    assert [(point.batch, point.threads) for point in points] == [(1, 1), (1, 2), (4, 1), (4, 2)]
    assert {point.provider for point in points} == {"openvino"}


def test_one_axis_leaves_the_other_alone() -> None:
    (point,) = sweep_points(RunOptions(threads=3), parse_sweep(["batch=2"]))
    assert (point.batch, point.threads) == (2, 3)


def test_no_axes_no_points() -> None:
    assert sweep_points(RunOptions(), parse_sweep([])) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["batch"], "expected AXIS=VALUE,VALUE"),
        (["batch="], "expected AXIS=VALUE,VALUE"),
        (["bach=1"], "unknown axis of a sweep 'bach'; did you mean 'batch'"),
        (["batch=1", "batch=2"], "batch is there twice"),
        (["batch=1,x"], "batch: expected different whole numbers above 0, got '1,x'"),
        (["batch=0"], "different whole numbers above 0"),
        (["batch=2,2"], "different whole numbers above 0"),
    ],
)
def test_bad_sweeps(texts: list[str], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        parse_sweep(texts)


def test_a_gpu_has_no_threads_to_sweep() -> None:
    with pytest.raises(SegkdError, match="threads belong to onnxruntime; tensorrt runs on the GPU"):
        sweep_points(RunOptions("tensorrt", "cuda:0"), {"threads": [1]})
