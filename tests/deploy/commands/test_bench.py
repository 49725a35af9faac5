from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest

from segkd.files import sha256_file
from segkd_deploy.latency import summarise
from tests.deploy.artifacts import change_a_byte
from tests.deploy.conftest import SHORT_BENCH, Run


def test_content_of_bench_json(pristine_measured: Path) -> None:
    bench = json.loads((pristine_measured / "bench.json").read_text())
    assert (bench["schema"], bench["valid"], bench["invalid_reasons"]) == (1, True, [])
    artifact = bench["artifact"]
    assert artifact["manifest_sha256"] == sha256_file(pristine_measured / "manifest.json")
    assert artifact["sha256"] == sha256_file(pristine_measured / "model.fp32.onnx")
    assert (artifact["precision"], artifact["opset"], artifact["variant"]) == ("fp32", 18, "fp32")
    assert artifact["bytes"] == (pristine_measured / "model.fp32.onnx").stat().st_size
    assert len(bench["latencies_ns"]) == bench["method"]["iterations"] == 20
    assert bench["latency_ms"] == summarise(bench["latencies_ns"])
    fps = 20 / bench["method"]["duration_s"]
    assert bench["throughput_fps"] == pytest.approx(fps)
    assert bench["stages_ms"]["compute"] > 0 and bench["stages_ms"]["h2d"] is None
    load = bench["load"]
    assert load["repetitions"] == 3 and load["session_ms"] > 0 and load["build_s"] is None
    assert bench["memory"]["rss_peak"] == load["rss_peak_bytes"] > 20e6
    assert bench["runtime"]["version"] == onnxruntime.__version__
    assert bench["runtime"]["provider"] == "CPUExecutionProvider"
    method = {"scenario", "batch", "warmup_s", "duration_s", "iterations", "clock", "includes_transfers"}
    assert method | {"includes_preprocess", "cuda_graph", "spin_wait"} <= bench["method"].keys()
    assert {"model", "l4t", "jetpack", "nvpmodel", "clocks_locked", "gpu_mhz"} <= bench["device"].keys()
    assert set(bench["power"].values()) == set(bench["thermal"].values()) == {None}


@pytest.fixture
def no_cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    cold = {"import_ms": 1.0, "session_ms": 2.0, "first_infer_ms": 3.0, "total_ms": 6.0, "rss_peak_bytes": 50_000_000}
    monkeypatch.setattr("segkd_deploy.bench.measure_cold_start", lambda *_, **__: cold)


@pytest.mark.usefixtures("no_cold_start")
def test_json_options_and_place(segkd: Run, pristine: Path, tmp_path: Path) -> None:
    words = ["--json", "--threads", "1", "--preset", "standard", "--out", tmp_path / "b.json"]
    result = segkd("bench", pristine, *SHORT_BENCH, *words)
    assert result.code == 0, result.err
    bench = json.loads(result.out)
    assert bench == json.loads((tmp_path / "b.json").read_text())
    assert bench["runtime"]["threads"] == 1
    settings = bench["method"]["settings"]
    assert (settings["preset"], settings["iterations"], settings["duration_s"]) == ("standard", 20, 0.0)
    assert (settings["max_drift"], settings["cold_starts"]) == (0.03, 5)
    assert not (pristine / "bench.json").exists()


@pytest.mark.usefixtures("no_cold_start")
def test_table(segkd: Run, pristine: Path, tmp_path: Path) -> None:
    result = segkd("bench", pristine, *SHORT_BENCH, "--out", tmp_path / "b.json")
    assert result.code == 0, result.err
    for words in ("p50", "p99_9", "20 calls", "cold start 6 ms (import 1, session 2, first_infer 3)"):
        assert words in result.out
    assert "peak memory 50 MB" in result.out and "CPUExecutionProvider" in result.out
    assert "p99 of 20 iterations is uncertain" in result.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--provider", "cuda"], 3, "CUDAExecutionProvider"),
        (["--runtime", "tensorflow"], 2, "unknown runtime 'tensorflow'"),
        (["--variant", "fp16"], 2, "no variant 'fp16'; it has fp32"),
        (["--iterations", "0"], 2, "--iterations"),
    ],
)
def test_errors(segkd: Run, pristine: Path, words: list[str], code: int, message: str) -> None:
    result = segkd("bench", pristine, *words)
    assert result.code == code and message in result.err
    assert not (pristine / "bench.json").exists()


def test_changed_byte_is_exit_1(segkd: Run, artifact: Path) -> None:
    change_a_byte(artifact / "model.fp32.onnx")
    result = segkd("bench", artifact)
    assert result.code == 1 and "model.fp32.onnx has changed" in result.err


@pytest.mark.usefixtures("no_cold_start")
def test_a_precision_chooses_the_variant(segkd: Run, artifact: Path) -> None:
    result = segkd("bench", artifact, "--precision", "fp32", *SHORT_BENCH, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["artifact"]["variant"] == "fp32"
    result = segkd("bench", artifact, "--precision", "int8", *SHORT_BENCH)
    assert result.code == 2 and "no int8 variant, only fp32" in result.err
    result = segkd("bench", artifact, "--precision", "fp32", "--variant", "fp32")
    assert result.code == 2 and "exclude each other" in result.err
