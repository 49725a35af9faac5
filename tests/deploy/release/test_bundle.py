from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.artifact import open_artifact
from segkd_deploy.release.bundle import prepare_release, write_bundle
from segkd_deploy.release.verify import verify_release


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    path = tmp_path / "gates.yaml"
    path.write_text("miou_floor: 0.5\nsize_mb: 1\n")
    return path


def test_bundle_is_complete_and_verifies(measured: Path, gates: Path, tmp_path: Path) -> None:
    folder = write_bundle(prepare_release(measured, gates, "street", "1.2.0"), tmp_path / "out")
    assert folder == tmp_path / "out" / "street-1.2.0"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    own = {"manifest.json", "parity.json", "bench.json", "gates.yaml", "release.json", "MODEL_CARD.md", "SHA256SUMS"}
    assert names == own | open_artifact(measured).manifest.files.keys()
    open_artifact(folder)  # the bundle is an artifact by itself
    assert verify_release(folder) == verify_release(tmp_path / "out" / "street-1.2.0.tar.gz")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "street-1.2.0",
        "street-1.2.0.tar.gz",
        "street-1.2.0.tar.gz.sha256",
    ]


def test_release_record(measured: Path, gates: Path) -> None:
    release = prepare_release(measured, gates)
    record = release.record
    assert (record["passed"], record["name"]) == (True, "distilled")
    assert record["version"] == release.artifact.manifest_sha256[:12]
    assert {gate["name"] for gate in record["gates"]} == {
        "miou_floor",
        "miou_delta",
        "agreement",
        "size_mb",
        "logits_finite",
        "bench_valid",
    }
    assert set(record["evidence"]) == {"parity.json", "bench.json"}
    json.dumps(record, allow_nan=False)


def test_made_twice_it_has_the_same_bytes(measured: Path, gates: Path, tmp_path: Path) -> None:
    for out in ("first", "second"):
        write_bundle(prepare_release(measured, gates, "net", "1"), tmp_path / out)
    first, second = ((tmp_path / out / "net-1.tar.gz").read_bytes() for out in ("first", "second"))
    assert first == second


def test_archive_has_neither_times_nor_owners(measured: Path, gates: Path, tmp_path: Path) -> None:
    write_bundle(prepare_release(measured, gates, "net", "1"), tmp_path)
    with tarfile.open(tmp_path / "net-1.tar.gz") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
    assert [m.name for m in members] == sorted(m.name for m in members)


def test_nothing_is_overwritten(measured: Path, gates: Path, tmp_path: Path) -> None:
    release = prepare_release(measured, gates, "net", "1")
    write_bundle(release, tmp_path)
    with pytest.raises(SegkdError, match="is there already; give another --version"):
        write_bundle(release, tmp_path)


def test_failed_release_has_no_bundle(measured: Path, gates: Path, tmp_path: Path) -> None:
    gates.write_text("miou_floor: 1")
    release = prepare_release(measured, gates)
    assert not release.record["passed"]
    with pytest.raises(SegkdError, match="did not pass"):
        write_bundle(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_interrupted_writing_leaves_nothing(
    measured: Path, gates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(folder: Path, archive: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segkd_deploy.release.bundle._write_archive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(prepare_release(measured, gates), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a b", ".hidden", "a/b"])
def test_names_are_file_names(measured: Path, gates: Path, name: str) -> None:
    with pytest.raises(SegkdError, match="expected letters, digits"):
        prepare_release(measured, gates, name)
    with pytest.raises(SegkdError, match="give --version"):
        prepare_release(measured, gates, "net", name)
