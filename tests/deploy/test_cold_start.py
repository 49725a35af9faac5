from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.cold_start import LIBRARIES, TIMES, measure_cold_start
from segkd_deploy.runners import RUNNERS, RunnerSpec
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX


def test_child_measures_itself(pristine: Path) -> None:
    result = measure_cold_start(
        pristine / "model.fp32.onnx", RunnerSpec(1, HEIGHT_PX, WIDTH_PX, 3), threads=1, repetitions=2
    )
    assert result["repetitions"] == len(result["samples"]) == 2
    for sample in result["samples"]:
        assert all(sample[name] > 0 for name in TIMES)
        parts = sample["import_ms"] + sample["session_ms"] + sample["first_infer_ms"]
        assert sample["total_ms"] == pytest.approx(parts)
        assert sample["process_ms"] > sample["total_ms"]  # the interpreter starts, too
    middle = sum(sample["total_ms"] for sample in result["samples"]) / 2
    assert result["total_ms"] == pytest.approx(middle)
    assert result["rss_peak_bytes"] > 20e6  # python, numpy and onnxruntime


def test_error_of_the_child_is_passed_on(pristine: Path) -> None:
    wrong = RunnerSpec(1, HEIGHT_PX * 2, WIDTH_PX, 3)
    with pytest.raises(SegkdError, match=r"cold start process ended with exit code 1: .*the graph has 1 x 16 x 24"):
        measure_cold_start(pristine / "model.fp32.onnx", wrong, repetitions=1)


def test_every_runtime_has_a_library() -> None:
    assert LIBRARIES.keys() == RUNNERS.keys()
