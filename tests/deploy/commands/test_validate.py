from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkd.files import sha256_file
from tests.deploy.artifacts import change_a_byte, make_artifact, save_manifest
from tests.deploy.conftest import Run
from tests.deploy.parity.small import Build
from tests.deploy.parity.small import make_artifact as make_small


def test_writes_evidence_and_prints_a_table(segkd: Run, artifact: Path) -> None:
    result = segkd("validate", artifact)
    assert result.code == 0, result.err
    assert "1.000000" in result.out and ["fp32", "agreement", "0.9999", "1", "yes"] in [
        line.split() for line in result.out.splitlines()
    ]
    parity = json.loads((artifact / "parity.json").read_text())
    assert (parity["schema"], parity["agreement"], parity["passed"]) == (1, 1.0, True)
    assert parity["artifact"]["manifest_sha256"] == sha256_file(artifact / "manifest.json")
    assert parity["variants"]["fp32"]["sha256"] == sha256_file(artifact / "model.fp32.onnx")
    assert {"created", "host", "versions"} <= parity.keys()
    assert parity["chain"][1]["interval_before"] == [None, None] and "nan" not in result.out  # three frames


def test_the_interval_of_enough_frames(segkd: Run, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd_deploy.parity.compare.MIN_INTERVAL_IMAGES", 3)
    assert "+0.00 [+0.00, +0.00]" in segkd("validate", artifact, "--threads", "1").out


def test_json_is_the_file(segkd: Run, artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "p.json"
    result = segkd("validate", artifact, "--json", "--out", out, "--variant", "fp32", "--threads", "1")
    assert result.code == 0
    assert json.loads(result.out) == json.loads(out.read_text())
    assert not (artifact / "parity.json").exists()
    assert json.loads(result.out)["variants"]["fp32"]["runtime"]["threads"] == 1


def test_one_variant_after_all_loses_none(segkd: Run, tmp_path: Path) -> None:
    folder = make_small(tmp_path / "a", {"fp32": Build(), "fp16": Build()})
    fast = ("--threads", "1", "--no-pictures")
    assert segkd("validate", folder, *fast).code == 0
    result = segkd("validate", folder, *fast, "--variant", "fp16", "--json")
    assert result.code == 0 and "note: fp32: kept from the run of " in result.err
    assert list(json.loads(result.out)["variants"]) == ["fp16"]
    parity = json.loads((folder / "parity.json").read_text())
    assert list(parity["variants"]) == ["fp32", "fp16"] and parity["passed"]
    again = segkd("validate", folder, *fast)
    assert again.code == 0 and "kept" not in again.err


def test_failed_limit_is_exit_1_with_evidence(segkd: Run, tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "artifact", bias=300.0)
    result = segkd("validate", folder)
    assert result.code == 1
    assert "validation failed: fp32 agreement, fp32 miou_delta" in result.err and "NO" in result.out
    assert json.loads((folder / "parity.json").read_text())["passed"] is False


@pytest.mark.parametrize("flips", [0, 1])
def test_the_limit_of_fp32_is_one_pixel_in_ten_thousand(segkd: Run, artifact: Path, flips: int) -> None:
    # 1152 pixels: a single flip is already more than 1e-4.
    student = np.load(artifact / "reference" / "student.npy")
    student[0, 8, 0] = (student[0, 8, 0] + flips) % 3
    np.save(artifact / "reference" / "student.npy", student)
    save_manifest(artifact)
    assert segkd("validate", artifact).code == flips


def test_a_limit_can_be_changed(segkd: Run, artifact: Path) -> None:
    result = segkd("validate", artifact, "--gate", "fp16.cosine=0.5", "--gate", "agreement=1")
    assert result.code == 0 and ["fp32", "agreement", "1", "1", "yes"] in [
        line.split() for line in result.out.splitlines()
    ]
    mine = artifact.parent / "mine.yaml"
    mine.write_text("schema: 1\ngates: {cosine: 0.25, fp32.agreement: 0.5}\n")
    result = segkd("validate", artifact, "--recipe", mine, "--gate", "fp32.agreement=0.75", "--json")
    limits = {gate["name"]: gate["limit"] for gate in json.loads(result.out)["variants"]["fp32"]["gates"]}
    assert limits["agreement"] == 0.75
    result = segkd("validate", artifact, "--gate", "fp32.agrement=0.5")
    assert result.code == 2 and "did you mean 'agreement'" in result.err
    result = segkd("validate", artifact, "--gate", "agreement=98")
    assert result.code == 2 and "agreement is 0..1, got 98" in result.err and len(result.err.splitlines()) == 1


def test_the_chain_the_fault_and_the_pictures(segkd: Run, tmp_path: Path) -> None:
    folder = make_small(tmp_path / "a", {"fp32": Build(swapped=True)})
    result = segkd("validate", folder, "--out", tmp_path / "found" / "p.json", "--threads", "1")
    assert result.code == 1 and "fp32 relative_l2 (swapped_channels); see" in result.err
    assert result.out.startswith("step") and "fp32: swapped_channels: Red and blue are exchanged." in result.out
    assert len(list((tmp_path / "found" / "p").glob("fp32_*.png"))) == 3 and "picture: p/fp32_1_" in result.err
    quiet = segkd("validate", folder, "--no-diagnosis", "--no-pictures")
    assert quiet.code == 1 and "swapped" not in quiet.out and not (folder / "parity").exists()


def test_changed_byte_is_exit_1_and_named(segkd: Run, artifact: Path) -> None:
    change_a_byte(artifact / "reference" / "frames.npy")
    result = segkd("validate", artifact)
    assert result.code == 1 and "reference/frames.npy has changed" in result.err
    assert not (artifact / "parity.json").exists()


def test_missing_provider_is_exit_3(segkd: Run, artifact: Path) -> None:
    result = segkd("validate", artifact, "--provider", "cuda")
    assert result.code == 3 and "CUDAExecutionProvider" in result.err
    assert not (artifact / "parity.json").exists()


def test_whole_data_set(segkd: Run, artifact: Path, blocks: str) -> None:
    result = segkd("validate", artifact, "--data", blocks, "--json")
    assert result.code == 0, result.err
    whole = json.loads(result.out)["variants"]["fp32"]["whole_set"]
    assert (whole["data"], whole["images"]) == (blocks, 5)
    assert 0.9 < whole["miou"] < 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variant", "int8"], "no variant 'int8'; it has fp32"),
        (["--data", "cityscape:."], "unknown data set 'cityscape'; did you mean 'cityscapes'"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_usage_errors_are_exit_2(segkd: Run, pristine: Path, words: list[str], message: str) -> None:
    result = segkd("validate", pristine, *words)
    assert result.code == 2 and message in result.err


def test_no_artifact_is_exit_2(segkd: Run, tmp_path: Path) -> None:
    result = segkd("validate", tmp_path)
    assert result.code == 2 and "no artifact folder" in result.err and len(result.err.splitlines()) == 1


def test_what_was_asked_for_and_cannot_be_measured_fails(segkd: Run, artifact: Path) -> None:
    result = segkd("validate", artifact, "--gate", "fp32.cosine=0.5")
    assert result.code == 1 and "validation failed: fp32 cosine (not measured)" in result.err


def test_what_bench_measures_is_refused_before_anything_runs(segkd: Run, artifact: Path) -> None:
    result = segkd("validate", artifact, "--gate", "p99_latency_ms=30")
    assert result.code == 2 and "`segkd bench` measures it" in result.err
