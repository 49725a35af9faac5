"""What the paths on the command line hold, and what their rows are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.compare.sources import bench_files, find_sources, unique_labels
from tests.deploy.compare.files import bench, make_artifact, make_run, write


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "runs" / "a" / "artifact", {"fp32": 0.6})


def found(*paths: Path) -> list[tuple[str, str]]:
    return [(source.kind, source.label) for source in find_sources(paths)]


def test_each_kind_is_known(artifact: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    orin = tmp_path / "orin"
    file = write(orin / "bench.json", bench(artifact, "fp32"))
    assert found(artifact, run, orin) == [("artifact", "artifact"), ("run", "run"), ("results", "orin")]
    assert found(file) == [("results", "bench")]


def test_a_folder_gives_what_lies_in_it_and_each_once(tmp_path: Path) -> None:
    for name in ("b", "a"):
        make_run(tmp_path / "runs" / name)
    (tmp_path / "runs" / "notes").mkdir()
    assert found(tmp_path / "runs") == [("run", "a"), ("run", "b")]
    assert found(tmp_path / "runs" / "b", tmp_path / "runs") == [("run", "b"), ("run", "a")]


def test_what_deploy_brought_knows_its_artifact(artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "deployed"
    for name in ("orin", "thor"):
        write(out / name / "bench.json", bench(artifact, "fp32"))
    write(out / "report.json", {"artifact": {"path": str(artifact)}})
    assert [(source.label, source.artifact) for source in find_sources([out])] == [
        ("orin", artifact),
        ("thor", artifact),
    ]
    write(out / "report.json", {"artifact": {"path": "/moved/away"}})
    assert {source.artifact for source in find_sources([out])} == {None}


def test_a_run_that_has_only_begun_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "last.ckpt").write_bytes(b"")
    assert found(tmp_path / "begun") == [("run", "begun")]


def test_sweeps_and_schemas_are_no_measurements(artifact: Path) -> None:
    write(artifact / "bench.json", bench(artifact, "fp32"))
    write(artifact / "bench.sweep.json", {"rows": []})
    write(artifact / "bench.list.json", [])
    assert [path.name for path in bench_files(artifact)] == ["bench.json"]


def test_paths_without_anything(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    other = write(tmp_path / "other.json", {"a": 1})
    for path, message in (
        (tmp_path / "gone", "gone: no such file or folder"),
        (tmp_path / "empty", r"empty: nothing to compare: expected a run, an artifact \(manifest\.json\)"),
        (other, r"other\.json: expected a folder, or a file that `segkd bench --out` wrote"),
    ):
        with pytest.raises(SegkdError, match=message):
            find_sources([path])


def test_labels_are_as_short_as_they_can_be() -> None:
    paths = [Path(text) for text in ("/runs/a/artifact", "/runs/b/artifact", "/runs/c", "/x/orin.json")]
    assert list(unique_labels(paths).values()) == ["a/artifact", "b/artifact", "c", "orin"]
    assert list(unique_labels([Path("/a/x/y"), Path("/b/x/y")]).values()) == ["a/x/y", "b/x/y"]
    assert list(unique_labels([Path("/x"), Path("/a/x")]).values()) == ["x", "a/x"]
