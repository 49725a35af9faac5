"""The comparison of benchmarks/losses.py is fair: both sides compute the same, and the arithmetic of the bars holds."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
MODULES = ("losses", "losses_originals", "losses_plain", "losses_rows", "measure")
SMALL = {"classes": 5, "height": 16, "width": 32, "channels": 32, "pixel_slots": 32, "region_slots": 8}
NO_PLAIN = {"skds_holistic_G", "skds_holistic_D_wgan_gp", "cirkd_memory_512"}


@pytest.fixture(scope="module")
def bench() -> Any:
    """The script as a module, its neighbours beside it."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("losses")
    sys.path.remove(str(FOLDER))
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(ignored: float = 0.05) -> Any:
    rows = sys.modules["losses_rows"]
    return rows.Inputs(rows.Shapes(**SMALL), ignored)


def keys() -> list[str]:
    sys.path.insert(0, str(FOLDER))
    try:
        from losses_originals import ORIGINALS  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(FOLDER))
    return list(ORIGINALS)


def test_every_row_has_an_original(bench: ModuleType) -> None:
    assert list(bench.ROWS) == list(bench.ORIGINALS)
    assert {key for key in bench.ROWS if bench.ROWS[key](small()).plain is None} == NO_PLAIN
    assert {key for key in bench.ROWS if bench.sides_of(key, "all") == ["ours"]} == NO_PLAIN


@pytest.mark.parametrize("key", keys())
def test_both_sides_compute_the_same(key: str, bench: ModuleType) -> None:
    measure = sys.modules["measure"]
    # Only without ignored pixels do all agree on what an edge is.
    sides = bench.ROWS[key](small(ignored=0.0) if key == "bpkd_thirdparty" else small())
    found = []
    for side in bench.sides_of(key, "all"):
        loss = measure.run(sides.job(side))
        assert loss.isfinite() and loss.shape == ()
        assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in sides.leaves)
        found.append((loss, [leaf.grad.clone() for leaf in sides.leaves]))
    if key in NO_PLAIN:
        return
    (ours, gradients), (plain, expected) = found
    torch.testing.assert_close(ours, plain, rtol=2e-5, atol=0)
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=0, atol=1e-4 * other.abs().max().item() + 1e-9)


def test_slowdown_weighs_the_calibration(bench: ModuleType) -> None:
    samples = {"calib_matmul2048_fwd_bwd": [676.0], "calib_exp_16M_fwd_bwd": [500.0, 159.0, 53.0]}
    originals = sys.modules["losses_originals"]
    assert bench.slowdown(samples, originals.Original("", (1, 1), 1.0)) == pytest.approx(2)
    assert bench.slowdown(samples, originals.Original("", (1, 1), 0.0)) == pytest.approx(3)
    assert bench.slowdown(samples, originals.Original("", (1, 1), 0.25)) == pytest.approx(2.75)


def test_bars(bench: ModuleType) -> None:
    original = sys.modules["losses_originals"].Original
    faster = original("", (1, 1), speedup=40.0)
    assert bench.judged(10, 400, None, faster)["meets"]
    assert not bench.judged(10, 399, 4000, faster)["meets"]
    short, ordinary = original("", (4.9, 6)), original("", (100, 5))
    assert bench.judged(2.0, 0.1, 1.0, short) == {
        "bar": 0.909,
        "bar_text": "<= 1.1x or +1 ms",
        "judged_by": "plain",
        "meets": True,
    }
    assert not bench.judged(2.1, 100, 1.0, short)["meets"]
    assert bench.judged(109, 100, None, ordinary)["meets"]
    assert bench.judged(109, 100, 10, ordinary)["judged_by"] == "original"
    assert not bench.judged(111, 100, None, ordinary)["meets"]


def test_bars_of_the_issue(bench: ModuleType) -> None:
    bars = {key: o.speedup for key, o in bench.ORIGINALS.items() if o.speedup is not None}
    assert bars == {
        "ifvd_official": 40.0,
        "bpkd_thirdparty": 5.0,
        "skds_pair_cirkd_2x2": 3.0,
        "cirkd_minibatch_512": 1.5,
        "cirkd_memory_512": 1.5,
    }
    assert {key: o.memory_share for key, o in bench.ORIGINALS.items() if o.memory_share} == {
        "cirkd_minibatch_512": 0.25
    }


def test_memory_is_judged_by_the_plain_formula(bench: ModuleType) -> None:
    measure = sys.modules["measure"]
    times = {"calib_matmul2048_fwd_bwd": [338.0], "calib_exp_16M_fwd_bwd": [53.0]}
    key = "cirkd_minibatch_512"
    samples = {**times, f"{key}/ours": [9000.0, 8000.0, 7000.0], f"{key}/plain": [16000.0]}
    peaks = {f"{key}/ours": measure.Peak(250.0, 900.0), f"{key}/plain": measure.Peak(1001.0, 1300.0)}
    row = bench.row(key, samples, peaks)
    assert (row["ours_ms"], row["original_ms_scaled"], row["plain_ratio"]) == (8000, 17967, 2.0)
    assert row["ratio"] == pytest.approx(17967 / 8000, abs=1e-3)
    assert row["meets"] and row["meets_memory"]
    peaks[f"{key}/ours"] = measure.Peak(251.0, 900.0)
    assert not bench.row(key, samples, peaks)["meets_memory"]
    # Without it by the process that ran the original, 4 GB.
    assert bench.row(key, samples, {f"{key}/ours": measure.Peak(251.0, 1000.0)})["meets_memory"]
    assert bench.row(key, samples, {})["meets_memory"] is None


def test_the_command(bench: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measure = sys.modules["measure"]
    # Long enough that the originals' figures, scaled by it, do not round to nothing.
    x = torch.zeros(2_000_000, requires_grad=True)
    monkeypatch.setattr(bench, "calibration", lambda: {k: measure.Job(x.sum, [x]) for k in measure.calibration()})
    monkeypatch.setattr(bench, "Inputs", small)
    bench.main(["--rows", "kd_,skds_pair_cirkd", "--quick", "--json", "--threads", "1"])
    result = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in result["rows"]] == ["kd_cirkd_T1", "kd_ifvd_repo", "skds_pair_cirkd_2x2"]
    assert result["repeats"] == 1
    for row in result["rows"]:
        assert row["ours_ms"] > 0 and row["original_ms_scaled"] > 0 and row["plain_ms"] > 0
        assert row["ratio"] > 0 and isinstance(row["meets"], bool) and row["peak_mb"] is None
    bench.main(["--rows", "cwd_mm", "--quick", "--threads", "1"])
    assert "| cwd_mmrazor_logits |" in capsys.readouterr().out


def test_unknown_row(bench: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no row begins with 'dino'"):
        bench.chosen_rows("kd,dino")


def test_peak_memory_counts_what_a_job_adds(bench: ModuleType) -> None:
    measure = sys.modules["measure"]

    def make() -> Any:
        x = torch.ones(12_500_000, requires_grad=True)  # 50 MB before the job starts
        return measure.Job(lambda: (x * 2).exp().sum(), [x])

    peak = measure.own_peak(make)
    # The product, its exponential and the gradients of both: 2 to 5 times 50 MB.
    assert 95 < peak.job_mb < 260
    assert peak.process_mb > peak.job_mb + 50


def test_interleaved_runs_every_job_equally_often(bench: ModuleType) -> None:
    measure = sys.modules["measure"]
    x = torch.ones(3, requires_grad=True)
    calls: list[str] = []

    def job(name: str) -> Any:
        return measure.Job(lambda: (calls.append(name), x.sum())[1], [x])

    samples = measure.interleaved({"a": job("a"), "b": job("b")}, 3, lambda text: None)
    assert [len(s) for s in samples.values()] == [3, 3]
    number = measure.LARGEST_NUMBER  # the jobs are short
    rounds = [calls[i] for i in range(4, len(calls), number)]
    assert rounds == ["a", "b", "b", "a", "a", "b"]
