from __future__ import annotations

import dataclasses
import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd.files import sha256_file, write_json
from segkd_deploy.artifact import Artifact, open_artifact
from segkd_deploy.bench.latency import summarise
from segkd_deploy.bench.peak import Peak
from segkd_deploy.bench.report import times_path, write_bench
from segkd_deploy.bench.run import Plan, bench_artifact
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.bench.scenarios import SCENARIOS, make_scenario
from segkd_deploy.bench.settings import choose_settings
from segkd_deploy.tensorrt import cuda
from segkd_deploy.tensorrt.cuda import Cuda
from segkd_deploy.tensorrt.engine_cache import FOLDER_VARIABLE
from tests.deploy.artifacts import make_artifact
from tests.deploy.fake_cudart import COPY_MS, RUN_MS
from tests.deploy.runners.test_tensorrt import install

BOUNDS = {"iterations": 20, "duration_s": 0.0, "warmup_iterations": 2, "warmup_s": 0.0, "cold_starts": 1}
COLD = {
    "import_ms": 1.0,
    "session_ms": 2.0,
    "first_infer_ms": 3.0,
    "total_ms": 6.0,
    "outside_ms": 8.0,
    "process_ms": 9.0,
}
COLD |= {"rss_peak_bytes": 50_000_000, "repetitions": 1, "samples": []}
SCHEMA: dict[str, Any] = json.loads(resources.files("segkd_deploy").joinpath("schemas/bench.schema.json").read_text())


@pytest.fixture(autouse=True)
def no_cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd_deploy.bench.run.measure_cold_start", lambda *_, **__: COLD)


@pytest.fixture
def plan() -> Plan:
    options = RunOptions(threads=1)
    return Plan(choose_settings("quick", BOUNDS), options, peak=False, telemetry=False)


@pytest.fixture(scope="module")
def any_batch(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An artifact that takes 1 to 4 frames per call."""
    folder = make_artifact(tmp_path_factory.mktemp("any") / "artifact", batch=None)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["input"]["batch_range"] = [1, 4]
    write_json(folder / "manifest.json", manifest)
    return open_artifact(folder)


def check_schema(report: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(json.dumps(report)), SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_keeps_to_the_schema(name: str, pristine: Path, plan: Plan, tmp_path: Path) -> None:
    scenario = make_scenario(name, **({"fps": 2000} if name == "fixed-rate" else {}))
    plan = dataclasses.replace(plan, scenario=scenario, telemetry=True, sweep={"threads": [1]})
    report = write_bench(tmp_path / "bench.json", bench_artifact(open_artifact(pristine), "fp32", plan))
    check_schema(json.loads((tmp_path / "bench.json").read_text()))
    assert report["method"]["scenario"] == scenario.name and scenario.name in report
    assert report["thermal"]["throttled"] is False
    assert len(report["sweep"]) == 1


def test_schema_refuses_what_is_missing_or_unknown(pristine: Path, plan: Plan, tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    measured = bench_artifact(open_artifact(pristine), "fp32", plan)
    with pytest.raises(jsonschema.ValidationError, match="'raw' is a required property"):
        check_schema(measured.to_dict())
    report = write_bench(tmp_path / "bench.json", measured)
    with pytest.raises(jsonschema.ValidationError, match="'watts' was unexpected"):
        check_schema({**report, "power": {**report["power"], "watts": 3}})
    with pytest.raises(jsonschema.ValidationError, match="'fast' is not of type 'number'"):
        check_schema({**report, "latency_ms": {**report["latency_ms"], "p50": "fast"}})


def test_raw_times_lie_beside_the_report(pristine: Path, plan: Plan, tmp_path: Path) -> None:
    plan = dataclasses.replace(plan, scenario=make_scenario("fixed-rate", fps=2000))
    report = write_bench(tmp_path / "bench.fp32.json", bench_artifact(open_artifact(pristine), "fp32", plan))
    path = tmp_path / "bench.fp32.times.npz"
    assert path == times_path(tmp_path / "bench.fp32.json")
    assert report["raw"] == {"file": path.name, "sha256": sha256_file(path)}
    with np.load(path, allow_pickle=False) as raw:
        assert sorted(raw) == ["compute_ms", "due_ns", "latency_ns", "start_ns"]
        assert raw["latency_ns"].tolist() == report["latencies_ns"]
        assert {len(raw[name]) for name in raw} == {len(report["latencies_ns"])}
        assert report["stages_ms"]["compute"] == pytest.approx(raw["compute_ms"].mean())
        assert report["latency_ms"] == summarise(raw["latency_ns"].tolist())
        assert (np.diff(raw["due_ns"]) % 500_000 == 0).all() and (raw["start_ns"] >= raw["due_ns"]).all()


def test_a_place_that_cannot_be_written(pristine: Path, plan: Plan, tmp_path: Path) -> None:
    report = bench_artifact(open_artifact(pristine), "fp32", plan)
    (tmp_path / "file").write_text("")
    with pytest.raises(SegkdError, match=r"cannot be written .*--out"):
        write_bench(tmp_path / "file" / "bench.json", report)


def test_batches_of_a_graph_that_takes_any(any_batch: Artifact, plan: Plan) -> None:
    for name, options, batch in (
        ("single-stream", RunOptions(threads=1), 1),
        ("offline", RunOptions(threads=1), 4),
        ("offline", RunOptions(threads=1, batch=3), 3),
    ):
        chosen = dataclasses.replace(plan, scenario=make_scenario(name), options=options)
        report = bench_artifact(any_batch, "fp32", chosen).to_dict()
        assert report["method"]["batch"] == batch
        fps = 20 * batch / report["method"]["duration_s"]
        assert report["throughput_fps"] == pytest.approx(fps)
    with pytest.raises(SegkdError, match="batch: the artifact takes 1 to 4 frames per call, got 5"):
        bench_artifact(any_batch, "fp32", dataclasses.replace(plan, options=RunOptions(batch=5)))


def test_sweep_measures_every_point(any_batch: Artifact, plan: Plan) -> None:
    said: list[str] = []
    plan = dataclasses.replace(plan, sweep={"batch": [1, 4], "threads": [1, 2]})
    report = bench_artifact(any_batch, "fp32", plan, said.append).to_dict()
    assert [(point["batch"], point["threads"]) for point in report["sweep"]] == [(1, 1), (1, 2), (4, 1), (4, 2)]
    assert (report["method"]["batch"], report["runtime"]["threads"]) == (1, 1)
    assert next(line for line in said if "batch" in line) == "fp32: batch 1, threads 1"
    assert all(point["latency_ms"]["p50"] > 0 for point in report["sweep"])


def test_a_fixed_batch_is_kept(pristine: Path, plan: Plan) -> None:
    said: list[str] = []
    swept = dataclasses.replace(plan, sweep={"batch": [1, 2, 4]})
    with pytest.raises(SegkdError, match=r"graph takes 1 frames per call, got 2, 4; .*`segkd export RUN --batch 1-4`"):
        bench_artifact(open_artifact(pristine), "fp32", swept, said.append)
    assert said == []  # nothing was measured


def test_a_machine_under_load_is_said_before_and_after(
    pristine: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segkd_deploy.device.load_1min", lambda: 1000.0)
    monkeypatch.setattr("segkd_deploy.bench.run.others_share", lambda before, after: 0.8)
    said: list[str] = []
    report = bench_artifact(open_artifact(pristine), "fp32", plan, said.append).to_dict()
    assert "other processes compete" in said[0] and any("load 1000 on" in line for line in report["warnings"])
    assert "other processes used 80% of the CPUs meanwhile, above 50%" in report["invalid_reasons"][-1]
    assert report["device"]["others_cpu_share"] == 0.8


def test_operations_are_held_against_the_peak(pristine: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def peak(options: RunOptions, precision: str, duration_s: float) -> Peak:
        asked.append((options.threads, precision, duration_s))
        return Peak(100.0, "products")

    monkeypatch.setattr("segkd_deploy.bench.run.measure_peak", peak)
    report = bench_artifact(open_artifact(pristine), "fp32", dataclasses.replace(plan, peak=True)).to_dict()
    compute = report["compute"]
    # The 1x1 convolution from 3 to 3 channels over 16 x 24 pixels.
    assert (compute["flops_per_frame"], compute["flops_source"]) == (2 * 16 * 24 * 9, "graph")
    achieved = compute["flops_per_frame"] / report["stages_p50_ms"]["compute"] / 1e6
    assert compute["achieved_gflops"] == pytest.approx(achieved)
    assert compute["fraction_of_peak"] == pytest.approx(achieved / 100)
    assert asked == [(1, "fp32", 0.0)]


def test_a_peak_that_cannot_be_measured_is_a_warning(
    pristine: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peak(*_: Any) -> Peak:
        raise SegkdError("no such product")

    monkeypatch.setattr("segkd_deploy.bench.run.measure_peak", peak)
    report = bench_artifact(open_artifact(pristine), "fp32", dataclasses.replace(plan, peak=True)).to_dict()
    assert "the device's peak could not be measured: no such product" in report["warnings"]
    assert report["compute"]["fraction_of_peak"] is None


def test_tensorrt_keeps_to_the_schema(
    pristine: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpu = install(monkeypatch, "10.3")
    monkeypatch.setattr(cuda, "open_cuda", lambda: Cuda(gpu))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "engines"))
    options = RunOptions("tensorrt", "cuda:0", cuda_graph=True)
    measured = bench_artifact(open_artifact(pristine), "fp32", dataclasses.replace(plan, options=options))
    report = write_bench(tmp_path / "bench.json", measured)
    check_schema(json.loads((tmp_path / "bench.json").read_text()))
    method, memory = report["method"], report["memory"]
    assert (method["cuda_graph"], method["stages_clock"], method["spin_wait"]) == (True, "cuda_event", None)
    assert report["stages_ms"] == {"pre": None, "h2d": COPY_MS, "compute": RUN_MS, "d2h": COPY_MS, "post": None}
    assert report["compute"]["achieved_gflops"] == pytest.approx(2 * 16 * 24 * 9 / RUN_MS / 1e6)
    assert (memory["device_bytes"], memory["device_taken_bytes"]) == (4096, 0)
    assert memory["engine_bytes"] > 0 and memory["rss_peak"] == COLD["rss_peak_bytes"]
    with pytest.raises(SegkdError, match="threads belong to onnxruntime"):
        bench_artifact(
            open_artifact(pristine), "fp32", dataclasses.replace(plan, options=options, sweep={"threads": [1]})
        )


def test_nodes_left_to_the_cpu_are_said(pristine: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {"CUDAExecutionProvider": 5, "CPUExecutionProvider": 1}
    monkeypatch.setattr("segkd_deploy.bench.run._nodes", lambda *_: nodes)
    report = bench_artifact(open_artifact(pristine), "fp32", plan).to_dict()
    assert report["runtime"]["nodes"] == nodes
    assert any(warning.startswith("not all nodes run on CPUExecutionProvider") for warning in report["warnings"])
