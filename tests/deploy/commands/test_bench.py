from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest

from segkd.files import sha256_file
from segkd_deploy.bench.latency import summarise
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
    assert bench["thermal"]["throttled"] is False
    assert bench["power"]["rail"] or bench["power"]["reason"]
    assert bench["raw"]["sha256"] == sha256_file(pristine_measured / "bench.times.npz")
    assert bench["sweep"] == []


@pytest.fixture
def no_cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    cold = dict.fromkeys(("import_ms", "session_ms", "first_infer_ms", "total_ms", "process_ms"), 1.0)
    cold |= {"session_ms": 2.0, "first_infer_ms": 3.0, "total_ms": 6.0, "rss_peak_bytes": 50_000_000}
    monkeypatch.setattr("segkd_deploy.bench.run.measure_cold_start", lambda *_, **__: cold)


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
        (["--provider", "openvino"], 3, "OpenVINOExecutionProvider"),
        (["--provider", "tensorrt"], 3, "TensorrtExecutionProvider"),
        (["--scenario", "fixed-rate"], 2, "fixed-rate needs the camera's rate: --fps"),
        (["--fps", "30"], 2, "fps belong to --scenario fixed-rate"),
        (["--scenario", "fixed-rate", "--fps", "0"], 2, "--fps"),
        (["--sweep", "batch=a"], 2, "different whole numbers above 0"),
        (["--cuda-graph"], 2, "--cuda-graph belongs to --runtime tensorrt"),
        (["--preset", "fast"], 2, "'fast' is not one of 'quick', 'standard', 'mlperf'"),
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


@pytest.mark.usefixtures("no_cold_start")
def test_fixed_rate_and_sweep_in_the_table(segkd: Run, pristine: Path, tmp_path: Path) -> None:
    words = [
        "--scenario",
        "fixed-rate",
        "--fps",
        "1000",
        "--deadline",
        "500",
        "--late",
        "queue",
        "--sweep",
        "threads=1,2",
    ]
    result = segkd("bench", pristine, *SHORT_BENCH, "--no-telemetry", *words, "--out", tmp_path / "b.json")
    assert result.code == 0, result.err
    bench = json.loads((tmp_path / "b.json").read_text())
    due = bench["fixed_rate"]["frames_due"]
    assert f"{due} frames at 1000 per second: 0 missed 500 ms (0.0%), 0 of them dropped" in result.out
    assert [line.split()[:2] for line in result.out.splitlines() if line.startswith("1 ")] == [["1", "1"], ["1", "2"]]
    assert (bench["method"]["fps"], bench["method"]["late"]) == (1000, "queue")
    assert "bench fp32: threads 2" in result.err


@pytest.mark.usefixtures("no_cold_start")
def test_presets_and_the_peak(segkd: Run, pristine: Path, tmp_path: Path) -> None:
    words = ["--preset", "mlperf", "--scenario", "offline", "--peak", "--cold-starts", "1", "--threads", "1"]
    result = segkd("bench", pristine, *SHORT_BENCH, *words, "--no-telemetry", "--out", tmp_path / "b.json")
    assert result.code == 0, result.err
    bench = json.loads((tmp_path / "b.json").read_text())
    assert bench["invalid_reasons"][0] == "20 frames, preset mlperf asks for 24576 in the offline scenario"
    assert "no MLPerf run: cold_starts, duration_s, iterations" in result.err and "NOT VALID" in result.out
    assert "of the measured peak" in result.out and bench["compute"]["peak_gflops"] > 0
