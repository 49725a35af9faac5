from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploy.artifacts import change_a_byte
from tests.deploy.conftest import SHORT_BENCH, Run

FAST = "--iterations 5 --duration 0 --warmup 0 --no-peak --no-telemetry"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SEGKD_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--target", "ssh://a b"], "expected ssh://[user@]host[:port]"),
        (["--target", "orin"], "unknown target 'orin'"),
        (["--target", "local", "--target", "local"], "local is named twice"),
        (["--target", "local", "--variant", "int8"], "no variant 'int8'"),
        (["--target", "local", "--runtime", "onnx"], "unknown runtime 'onnx'"),
        (["--target", "local", "--gates", "gone.yaml"], "gone.yaml: there is no such file"),
        (["--target", "local", "--bench", "--out 'x"], "No closing quotation"),
    ],
)
def test_usage_errors_are_exit_2(segkd: Run, pristine: Path, tmp_path: Path, words: list[str], message: str) -> None:
    result = segkd("deploy", pristine, "--out", tmp_path / "out", *words)
    assert result.code == 2 and message in result.err and len(result.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_changed_artifact_is_exit_1(segkd: Run, artifact: Path, tmp_path: Path) -> None:
    change_a_byte(artifact / "model.fp32.onnx")
    result = segkd("deploy", artifact, "--target", "local", "--out", tmp_path / "out")
    assert result.code == 1 and "model.fp32.onnx has changed" in result.err


def test_this_machine(segkd: Run, pristine: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = segkd("deploy", pristine, "--target", "local", "--out", out, "--bench", FAST)
    assert result.code == 1 and "gates failed: fp32 bench_valid (5 calls were asked for" in result.err
    header, row = result.out.splitlines()
    assert header.split()[:2] == ["target", "device"] and row.startswith("local ") and row.endswith("GATE FAILED")
    assert "local: === validate" in result.err
    report = json.loads((out / "report.json").read_text())
    assert report["targets"][0]["variants"]["fp32"]["agreement"] == 1.0
    assert (out / "local" / "labels.fp32.npz").is_file()
    assert list((tmp_path / "cache" / "segkd" / "jobs").iterdir()) == []


def test_a_target_that_is_local_is_this_process(segkd: Run, artifact: Path) -> None:
    assert segkd("validate", artifact, "--target", "local").code == 0
    assert (artifact / "parity.json").is_file()


@pytest.mark.parametrize("command", ["validate", "bench"])
def test_commands_name_unknown_targets(segkd: Run, artifact: Path, command: str) -> None:
    words = SHORT_BENCH if command == "bench" else []
    result = segkd(command, artifact, "--target", "orin", *words)
    assert result.code == 2 and "unknown target 'orin'" in result.err


@pytest.mark.parametrize("name", ["data", "recipe"])
def test_what_lies_here_does_not_go_to_a_target(segkd: Run, artifact: Path, name: str) -> None:
    result = segkd("validate", artifact, "--target", "ssh://gone", f"--{name}", "cityscapes:x")
    assert result.code == 2 and f"--{name} is read here" in result.err


def test_doctor_of_a_target(segkd: Run, tmp_path: Path) -> None:
    result = segkd("doctor", "--target", "local")
    rows = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert rows["target"] == "local" and "GB free" in rows["disk"]
    state = json.loads(segkd("doctor", "--target", "local", "--json").out)
    assert state["holder"] is None and state["lacking"] == []
    assert state["folder"] == str(tmp_path / "cache" / "segkd")
    assert state["machine"]["packages"]["onnxruntime"]
