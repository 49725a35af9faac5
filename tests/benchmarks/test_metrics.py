"""The comparison of benchmarks/metrics.py is fair: every library counts the same pixels."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "metrics.py"


@pytest.fixture(scope="module")
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("benchmark_of_metrics", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_sides_count_alike(bench: Any) -> None:
    image = bench.make_image(0, (60, 80), 6)
    jobs = bench.confusion_jobs(6)
    assert {"ours", "numpy", "sklearn"} <= set(jobs)
    bench.check_agreement(jobs, image)
    assert jobs["ours"](*image).sum() == (image[1] != 255).sum() < image[1].size
    jobs["numpy"] = lambda prediction, truth: np.zeros((6, 6))
    with pytest.raises(SystemExit, match="numpy counts otherwise than ours"):
        bench.check_agreement(jobs, image)


def test_result(bench: Any) -> None:
    result = bench.run((64, 64), 4, 1)
    assert set(result["confusion_ms"]) - set(result["ratio"]) == {"ours"}
    assert result["bar_ms"] == pytest.approx(5 * 64 * 64 / 2**21, abs=1e-3)
    assert all(ms >= 0 for ms in result["measures_ms"].values()) and len(result["measures_ms"]) == 5
