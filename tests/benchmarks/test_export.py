"""benchmarks/export.py compares like with like: all ways give the same labels, and the parts of its graphs fit."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
NAMES = ("export", "export_graphs", "export_jobs", "export_others")
SIZE = (32, 64)


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The scripts as a user's ``python benchmarks/export.py`` sees each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield {name: importlib.import_module(name) for name in NAMES}
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def graphs(scripts: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return scripts["export_graphs"].make_graphs(tmp_path_factory.mktemp("graphs"), "quickstart-mv2", 5, SIZE, int8=True)


def test_all_ways_give_the_same_labels(scripts: Any, graphs: Any) -> None:
    labels = {}
    with ExitStack() as stack:
        jobs = scripts["export_jobs"].network_jobs(graphs, SIZE, 1, stack, compiled=False)
        frames = len(scripts["export_graphs"].make_frames(SIZE))
        for name in ("fp32", "fp32, host", "usual", "torch eager", "int8-cpu"):
            labels[name] = [np.array(jobs[name]()) for _ in range(frames)]
    # The jobs take frames in turn, so that each has seen both.
    expected = sorted(array.tobytes() for array in labels["fp32"])
    assert len(set(expected)) == frames
    for name in ("fp32, host", "usual", "torch eager"):
        assert sorted(array.tobytes() for array in labels[name]) == expected


def test_bare_is_the_network_without_its_ends(scripts: Any, graphs: Any) -> None:
    from segkd_deploy.onnx_file.header import read_header

    (image,), (logits,) = read_header(graphs.bare).inputs, read_header(graphs.bare).outputs
    assert (image.shape, logits.shape) == ((1, 3, *SIZE), (1, 5, 8, 16))
    assert read_header(graphs.full_logits).outputs[0].shape == (1, 5, *SIZE)
    assert "ArgMax" in read_header(graphs.complete).op_types - read_header(graphs.full_logits).op_types
    assert read_header(graphs.int8_cpu).quantised and not read_header(graphs.complete).quantised
    with ExitStack() as stack:
        _, found = scripts["export_jobs"].network_jobs(graphs, SIZE, 1, stack, compiled=False)["bare"]()
    assert found.shape == logits.shape and np.isfinite(found).all() and found.any()


@pytest.mark.parametrize("kind", ["regions", "noise"])
def test_both_tails_agree(scripts: Any, tmp_path: Path, kind: str) -> None:
    jobs_of, logits = scripts["export_jobs"].tail_jobs, scripts["export_jobs"].make_logits(kind, 40, (8, 8))
    jobs, decoder = jobs_of(tmp_path, 40, (8, 8), (64, 64), 1, logits)
    assert len(np.unique(jobs["host"]())) > 5
    assert (jobs["host"]() == jobs["onnxruntime"]()).mean() > 0.999
    decoder.close()


def test_products_are_matrix_products(scripts: Any) -> None:
    import onnxruntime

    x = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    found = {}
    for precision in ("fp32", "int8"):
        graph = scripts["export_graphs"].matmul_model(64, 2, precision)
        found[precision] = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"x": x})[
            0
        ]
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32) / 8
    np.testing.assert_allclose(found["fp32"], x @ weights @ weights, atol=1e-4)
    assert 0 < np.linalg.norm(found["int8"] - found["fp32"]) < 0.1 * np.linalg.norm(found["fp32"])


def test_jobs_take_turns_and_the_median_counts(scripts: Any) -> None:
    order: list[str] = []
    ticks = iter(range(1000))
    jobs = {name: (lambda name=name: order.append(name)) for name in "ab"}
    samples = scripts["export_jobs"].interleaved(jobs, 3, lambda: float(next(ticks)) ** 2)
    assert order == [*"ab", *"ab", *"ba", *"ab"]
    # Between two readings of a clock that shows 0, 1, 4, 9, ...
    assert samples == {"a": [1e3, 13e3, 17e3], "b": [5e3, 9e3, 21e3]}
    assert scripts["export_jobs"].medians(samples) == {"a": 13e3, "b": 9e3}
    assert scripts["export_jobs"].peak_gflops([4.0, 2.0]) == pytest.approx(2 * 1024**3 * 16 / 2e-3 / 1e9)


def test_runtimes_that_are_missing_are_named(scripts: Any, graphs: Any, tmp_path: Path) -> None:
    frames = scripts["export_graphs"].make_frames(SIZE)
    found = scripts["export"].run_others(tmp_path, {"fp32": graphs.complete}, frames, sys.executable)
    missing = [name for name in scripts["export_others"].RUNTIMES if importlib.util.find_spec(name) is None]
    assert found["missing"] == missing and set(found["versions"]) == set(found["agreement"]["fp32"])
    assert found["meets"] == (len(missing) < 2)


def test_command_line(scripts: Any) -> None:
    parse = scripts["export"].parse
    assert (parse([]).clock, parse(["--threads", "2"]).clock, parse(["--threads", "2", "--clock", "cpu"]).clock) == (
        "cpu", "wall", "cpu",
    )  # fmt: skip
    assert parse(["--models", "none"]).models == [] and len(parse([]).models) == 4
    assert parse(["--quick"]).rounds == 1
