"""Refusing, forcing, and which rows are best."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.compare.comparison import compare
from tests.deploy.compare.files import bench, make_artifact, make_run, write


def measured(tmp_path: Path, name: str, miou: float, p50_ms: float, device: str = "desk", **changes: object) -> Path:
    folder = make_artifact(tmp_path / name, {"fp32": miou})
    write(folder / "bench.json", bench(folder, "fp32", p50_ms=p50_ms, device={"model": device}, **changes))
    return folder


def test_fronts_are_those_of_a_condition(tmp_path: Path) -> None:
    paths = [
        measured(tmp_path, "fast", 0.60, 5.0),
        measured(tmp_path, "good", 0.70, 10.0),
        measured(tmp_path, "bad", 0.65, 11.0),
        measured(tmp_path, "orin1", 0.50, 50.0, "Orin"),
        measured(tmp_path, "orin2", 0.55, 60.0, "Orin"),
        measured(tmp_path, "lone", 0.99, 1.0, "Thor"),
    ]
    result = compare(paths)
    assert result.fronts["latency"] == ["fast:fp32", "good:fp32", "orin1:fp32", "orin2:fp32"]
    assert result.fronts["size"] == ["lone:fp32"]  # all have the same size: one is best
    assert "energy" not in result.fronts
    assert result.legend == {"a": "desk, single_stream", "b": "Orin, single_stream", "c": "Thor, single_stream"}
    assert [result.conditions[f"{path.name}:fp32"] for path in paths] == ["a", "a", "a", "b", "b", "c"]


def test_energy_has_a_front(tmp_path: Path) -> None:
    paths = [
        measured(tmp_path, "a", 0.6, 5.0, power={"energy_mj_per_frame": 40.0}),
        measured(tmp_path, "b", 0.5, 5.0, power={"energy_mj_per_frame": 60.0}),
    ]
    assert compare(paths).fronts["energy"] == ["a:fp32"]


def test_runs_of_other_data_are_refused_and_both_named(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / "one"), make_run(tmp_path / "two", fingerprint="bbbb", imgsz=(32, 64))]
    with pytest.raises(SegkdError) as error:
        compare(paths)
    said = str(error.value)
    assert error.value.exit_code == 2
    assert said.startswith(
        "not comparable: data: one has the mIoU of images of cityscapes:/data (fingerprint aaaa), two"
    )
    assert "size: one was trained at 64x128, two was trained at 32x64" in said and "--force" in said


def test_force_shows_them_apart(tmp_path: Path) -> None:
    paths = [
        make_run(tmp_path / "one", miou=0.5, weights_bytes=10),
        make_run(tmp_path / "two", miou=0.6, weights_bytes=20, fingerprint="bbbb"),
        make_run(tmp_path / "three", miou=0.4, weights_bytes=20),
        make_run(tmp_path / "four", miou=0.9, weights_bytes=5, finished=False),
    ]
    result = compare(paths, force=True)
    assert [conflict.kind for conflict in result.conflicts] == ["invalid", "data"]
    assert result.bases == {"one": "1", "two": "2", "three": "1", "four": "1"}
    # two is alone with its data, and four is not valid; three costs more than one and scores less.
    assert result.fronts == {"size": ["one"]}
    content = result.to_dict()
    assert (content["comparable"], len(content["conflicts"]), content["pareto"]) == (False, 2, {"size": ["one"]})
    assert content["rows"][1]["accuracy"]["fingerprint"] == "bbbb" and content["rows"][1]["accuracy_basis"] == "2"


def test_an_invalid_measurement_is_refused(tmp_path: Path) -> None:
    paths = [
        measured(tmp_path, "a", 0.6, 5.0),
        measured(tmp_path, "b", 0.5, 4.0, valid=False, invalid_reasons=["the GPU throttled"]),
    ]
    with pytest.raises(SegkdError, match=r"b:fp32 must not be used: .*bench\.json is not valid: the GPU throttled"):
        compare(paths)
    assert compare(paths, force=True).fronts == {}


def test_one_row_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="a comparison needs two rows, found 1: r"):
        compare([make_run(tmp_path / "r")])
