from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import segkd_deploy
from segkd.errors import SegkdError
from segkd_deploy.bench.cold_start import LIBRARIES, TIMES, measure_cold_start
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import RUNNERS
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX, make_artifact


def test_child_measures_itself(pristine: Path) -> None:
    result = measure_cold_start(
        pristine / "model.fp32.onnx", GraphSpec(1, HEIGHT_PX, WIDTH_PX, 3), threads=1, repetitions=2
    )
    assert result["repetitions"] == len(result["samples"]) == 2
    for sample in result["samples"]:
        assert all(sample[name] > 0 for name in TIMES)
        parts = sample["import_ms"] + sample["session_ms"] + sample["first_infer_ms"]
        assert sample["total_ms"] == pytest.approx(parts)
        assert sample["process_ms"] >= sample["outside_ms"] > sample["total_ms"]  # the interpreter starts, too
    for name in TIMES:
        assert result[name] == pytest.approx(statistics.median(sample[name] for sample in result["samples"]))
    assert result["rss_peak_bytes"] > 20e6  # python, numpy and onnxruntime


def test_graphs_that_take_any_number_get_the_batch(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "any", batch=None)
    spec = GraphSpec(None, HEIGHT_PX, WIDTH_PX, 3)
    assert measure_cold_start(folder / "model.fp32.onnx", spec, threads=1, batch=3, repetitions=1)["total_ms"] > 0


def test_error_of_the_child_is_passed_on(pristine: Path) -> None:
    wrong = GraphSpec(1, HEIGHT_PX * 2, WIDTH_PX, 3)
    with pytest.raises(SegkdError, match=r"cold start process ended with exit code 1: .*the graph has 1 x 16 x 24"):
        measure_cold_start(pristine / "model.fp32.onnx", wrong, repetitions=1)


def test_every_runtime_has_a_library() -> None:
    assert LIBRARIES.keys() == RUNNERS.keys()


def test_labels_of_another_size_and_nv12_reach_the_child(tmp_path: Path) -> None:
    graph = make_artifact(tmp_path / "any") / "model.fp32.onnx"
    with pytest.raises(SegkdError, match=r"cold start process .*NV12 with labels 4 x 6"):
        measure_cold_start(graph, GraphSpec(1, 8, 12, 3, color="NV12", labels_px=(4, 6)), repetitions=1)


def test_nothing_heavy_is_imported_before_the_clock() -> None:
    code = (
        "import sys; old = set(sys.modules); import segkd_deploy.bench.cold_start; "
        "print(*sorted(set(sys.modules) - old))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=path_here())
    assert done.returncode == 0, done.stderr
    assert not {"numpy", "argparse", "json", "subprocess", "pathlib"} & set(done.stdout.split())


def path_here() -> dict[str, str]:
    """The environment in which the packages are found without site-packages."""
    root = Path(segkd_deploy.__file__).parents[2]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "deploy"), str(root / "core")])}
