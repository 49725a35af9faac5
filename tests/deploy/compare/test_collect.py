"""Rows of artifacts and of what came back from devices."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from segkd.errors import GateFailed, SegkdError
from segkd_deploy.compare.collect import collect
from tests.deploy.compare.files import bench, make_artifact, make_run, parity, write


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """Two variants, both scored, the first measured."""
    folder = make_artifact(tmp_path / "a", {"fp32": 0.7, "int8": 0.6})
    write(folder / "bench.json", bench(folder, "fp32", power={"energy_mj_per_frame": 50.0}))
    return folder


def test_one_row_per_variant(artifact: Path) -> None:
    full, small = collect([artifact])
    assert (full.name, full.precision, full.size_px, full.size_bytes) == ("a:fp32", "fp32", (64, 128), 2_000_000)
    assert full.classes == ("road", "sky") and full.problems == () and full.notes == ()
    assert full.accuracy is not None and (full.accuracy.miou, full.accuracy.images) == (0.7, 4)
    measured = full.measured
    assert measured is not None
    assert (measured.p50_ms, measured.p99_ms, measured.throughput_fps, measured.rss_bytes) == (10, 20, 100, 70_000_000)
    assert (measured.energy_mj, measured.runtime) == (50.0, "onnxruntime 1.31 CPU 2 threads")
    assert full.value("latency") == 10 and full.value("energy") == 50 and full.value("size") == 2
    assert small.measured is None and small.value("latency") is None
    assert [entry.name for entry in collect([artifact], ["int8"])] == ["a:int8"]
    with pytest.raises(SegkdError, match="none of these has a variant 'fp16'; there are fp32, int8"):
        collect([artifact], ["fp16"])


def test_the_whole_data_set_wins_over_the_reference_frames(tmp_path: Path) -> None:
    (entry,) = collect([make_artifact(tmp_path / "a", {"fp32": 0.7}, whole_set="ffff")])
    accuracy = entry.accuracy
    assert accuracy is not None
    assert (accuracy.miou, accuracy.basis, accuracy.fingerprint) == (pytest.approx(0.6), "data set", "ffff")


def test_variants_of_which_one_alone_was_scored_on_a_data_set_share_the_reference_frames(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "a", {"fp32": 0.7, "int8": 0.6}, whole_set="ffff")
    content = json.loads((folder / "parity.json").read_text())
    content["variants"]["int8"]["whole_set"] = None
    write(folder / "parity.json", content)
    found = [entry.accuracy for entry in collect([folder])]
    assert [(one.miou, one.basis) for one in found if one] == [(0.7, "reference frames"), (0.6, "reference frames")]


def test_reference_frames_are_known_by_their_content(tmp_path: Path) -> None:
    folders = [
        make_artifact(tmp_path / "a", {"fp32": 0.7}),
        make_artifact(tmp_path / "b", {"fp32": 0.7}),
        make_artifact(tmp_path / "c", {"fp32": 0.7}, truth="other"),
    ]
    first, same, other = (entry.accuracy for entry in collect(folders))
    assert first is not None and same is not None and other is not None
    assert first.fingerprint == same.fingerprint != other.fingerprint


def test_results_of_devices_find_their_artifact(artifact: Path, tmp_path: Path) -> None:
    orin = tmp_path / "deployed" / "orin"
    write(orin / "bench.json", bench(artifact, "fp32", device={"model": "Orin", "nvpmodel": {"name": "15W", "id": 0}}))
    write(orin / "parity.json", parity(artifact, {"fp32": 0.69, "int8": 0.5}))
    rows = {entry.name: entry for entry in collect([artifact, orin])}
    assert list(rows) == ["a:fp32", "a:int8", "orin:fp32", "orin:int8"]
    row = rows["orin:fp32"]
    assert row.size_px == (64, 128) and row.accuracy is not None and row.accuracy.miou == 0.69
    assert row.measured is not None and row.measured.condition.words().startswith("Orin, power mode 15W 0")
    assert row.problems == row.notes == ()
    alone = {entry.name: entry for entry in collect([orin])}["orin:fp32"]
    assert (alone.size_px, alone.size_bytes) == (None, 2_000_000)
    assert alone.notes == ("size and classes are not known: name the artifact too",)


def test_one_measurement_borrows_the_accuracy_and_says_so(artifact: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "orin.json", bench(artifact, "int8", device={"model": "Orin"}))
    (row,) = [entry for entry in collect([artifact, file]) if entry.name == "orin:int8"]
    assert row.accuracy is not None and row.accuracy.miou == 0.6
    assert row.notes == (f"mIoU as measured in {artifact}, onnxruntime 1.31 CPU",)


def test_evidence_of_another_export_is_a_problem(artifact: Path) -> None:
    stale = bench(artifact, "fp32")
    stale["artifact"]["sha256"] = "0" * 64
    write(artifact / "bench.json", stale)
    old = json.loads((artifact / "parity.json").read_text())
    old["variants"]["int8"]["sha256"] = "1" * 64
    write(artifact / "parity.json", old)
    full, small = collect([artifact])
    assert full.problems == (
        f"{artifact / 'bench.json'} speaks of another graph than {artifact} holds; run "
        f"`segkd bench {artifact} --variant fp32`",
    )
    assert small.problems == (
        f"{artifact / 'parity.json'} speaks of another export than {artifact} holds; run `segkd validate {artifact}`",
    )


def test_invalid_measurements_and_failed_gates(artifact: Path) -> None:
    write(
        artifact / "bench.json", bench(artifact, "fp32", valid=False, invalid_reasons=["it throttled", "and drifted"])
    )
    found = json.loads((artifact / "parity.json").read_text())
    found["variants"]["fp32"]["gates"][0]["passed"] = False
    write(artifact / "parity.json", found)
    full, _ = collect([artifact])
    assert full.invalid == (f"{artifact / 'bench.json'} is not valid: it throttled; and drifted",)
    assert full.notes == ("validate failed: agreement",)


def test_several_measurements_of_a_variant(artifact: Path) -> None:
    write(artifact / "bench.2threads.json", bench(artifact, "fp32", p50_ms=6.0))
    names = [entry.name for entry in collect([artifact])]
    assert names == ["a:fp32 (bench.2threads)", "a:fp32 (bench)", "a:int8"]


def test_how_was_measured_is_said(artifact: Path) -> None:
    method = {"scenario": "fixed_rate", "fps": 29.97, "cuda_graph": True, "zero_copy": False}
    write(artifact / "bench.json", bench(artifact, "fp32", method=method))
    measured = collect([artifact])[0].measured
    assert measured is not None and measured.condition.scenario == "fixed_rate 29.97 frames/s"
    assert measured.runtime == "onnxruntime 1.31 CPU 2 threads CUDA graph"


def test_runs_beside_artifacts_keep_their_order(artifact: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "r")
    assert [entry.name for entry in collect([run, artifact])] == ["r", "a:fp32", "a:int8"]
    assert [entry.name for entry in collect([run, artifact], ["int8"])] == ["r", "a:int8"]


def test_a_changed_graph_stops(artifact: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artifact, tmp_path / "copy"))
    (copy / "model.fp32.onnx").write_text("changed")
    with pytest.raises(GateFailed, match=r"model\.fp32\.onnx has changed"):
        collect([artifact, copy])
    write(artifact / "parity.json", {"variants": []})
    with pytest.raises(SegkdError, match=r"parity\.json: variants: .*`segkd validate`"):
        collect([artifact])
