from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploy.artifacts import change_a_byte
from tests.deploy.conftest import Run

PASSING = "miou_floor: 0.5\nmiou_delta: 0.0005\nagreement: 0.9999\np99_latency_ms: 10000\nsize_mb: 1\n"


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    path = tmp_path / "gates.yaml"
    path.write_text(PASSING)
    return path


def test_passed(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = segkd("release", "create", measured, "--gates", gates, "--out", out, "--name", "net", "--version", "1")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].split() == ["gate", "limit", "measured", "passed"]
    assert len(lines) == 8 and all(line.endswith("yes") for line in lines[1:])
    for bundle in (out / "net-1", out / "net-1.tar.gz"):
        verified = segkd("release", "verify", bundle)
        assert verified.code == 0 and "all as released" in verified.out
    listed = json.loads(segkd("release", "verify", out / "net-1", "--json").out)
    assert listed["passed"] and "model.fp32.onnx" in listed["files"]


def test_json_is_the_record_in_the_bundle(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out", "--json")
    record = json.loads(result.out)
    assert record == json.loads(next((tmp_path / "out").glob("*/release.json")).read_text())
    assert record["passed"] and {"name", "limit", "measured", "passed"} <= record["gates"][0].keys()


@pytest.mark.parametrize("as_json", [False, True])
def test_failed_gate_is_exit_1_and_no_bundle(
    segkd: Run, measured: Path, gates: Path, tmp_path: Path, as_json: bool
) -> None:
    gates.write_text(PASSING.replace("10000", "0.000001"))
    words = ["--json"] if as_json else []
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out", *words)
    assert result.code == 1 and "not released: fp32 p99_latency_ms" in result.err
    assert not (tmp_path / "out").exists()
    if as_json:
        assert json.loads(result.out)["passed"] is False
    else:
        assert [line.split()[1] for line in result.out.splitlines() if line.endswith("NO")] == ["p99_latency_ms"]


def test_changed_byte_is_exit_1(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    change_a_byte(measured / "model.fp32.onnx")
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out")
    assert result.code == 1 and "model.fp32.onnx has changed" in result.err


def test_missing_evidence_is_exit_2_and_names_the_command(
    segkd: Run, artifact: Path, gates: Path, tmp_path: Path
) -> None:
    result = segkd("release", "create", artifact, "--gates", gates, "--out", tmp_path / "out")
    assert result.code == 2 and "`segkd validate" in result.err


def test_stale_evidence_is_exit_2(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    bench = json.loads((measured / "bench.json").read_text())
    bench["artifact"]["manifest_sha256"] = "0" * 64
    (measured / "bench.json").write_text(json.dumps(bench))
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out")
    assert result.code == 2 and "bench.json is stale" in result.err and "segkd bench" in result.err


def test_unknown_gate_is_exit_2(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    gates.write_text("p99_latency: 3")
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out")
    assert result.code == 2 and "did you mean 'p99_latency_ms'" in result.err


def test_verify_names_what_changed(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    segkd("release", "create", measured, "--gates", gates, "--out", tmp_path, "--name", "net", "--version", "1")
    change_a_byte(tmp_path / "net-1" / "model.fp32.onnx")
    change_a_byte(tmp_path / "net-1.tar.gz")
    folder = segkd("release", "verify", tmp_path / "net-1")
    assert folder.code == 1 and "model.fp32.onnx has changed" in folder.err
    archive = segkd("release", "verify", tmp_path / "net-1.tar.gz")
    assert archive.code == 1 and "net-1.tar.gz has changed" in archive.err
    assert segkd("release", "verify", tmp_path / "nothing").code == 2


def test_what_validate_refused_is_not_released(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    assert segkd("validate", measured, "--gate", "miou_floor=1", "--no-diagnosis").code == 1
    gates.write_text("size_mb: 1\n")
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out")
    assert result.code == 1 and "not released: fp32 miou_floor" in result.err
    assert not (tmp_path / "out").exists()


def test_a_looser_limit_is_said(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    gates.write_text("agreement: 0.5\n")
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert "note: fp32 agreement: 0.9999 holds, which is stricter than the file's 0.5" in result.err


def test_without_gates_it_names_the_example_which_passes(segkd: Run, measured: Path, tmp_path: Path) -> None:
    result = segkd("release", "create", measured, "--out", tmp_path / "out")
    assert result.code == 2 and "`segkd release gates > gates.yaml`" in result.err
    (tmp_path / "gates.yaml").write_text(segkd("release", "gates").out.replace("p99_latency_ms: 200", ""))
    made = segkd("release", "create", measured, "--gates", tmp_path / "gates.yaml", "--out", tmp_path / "out")
    assert made.code == 0, made.err


def test_a_measurement_to_try_is_not_released(segkd: Run, measured: Path, gates: Path, tmp_path: Path) -> None:
    short = ["--iterations", "5", "--duration", "0", "--no-peak", "--no-telemetry", "--cold-starts", "1"]
    tried = segkd("bench", measured, *short)
    assert tried.code == 0 and "NOT VALID: 5 calls were asked for, and preset quick takes 64" in tried.out
    result = segkd("release", "create", measured, "--gates", gates, "--out", tmp_path / "out")
    assert result.code == 1 and "not released: fp32 bench_valid (5 calls were asked for" in result.err
