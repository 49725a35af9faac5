from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import segkd
from segkd.errors import GateFailed, SegkdError
from segkd.files import sha256_file
from segkd.manifest import load_manifest, verify_files
from segkd_distill.models.segmenter import IMAGENET_MEAN, IMAGENET_STD
from segkd_export import artifact, variants
from segkd_export.artifact import ExportResult, export_artifact
from segkd_export.graph.graph_check import run_graph
from segkd_export.reference import predict
from segkd_export.sources import ExportRequest
from tests.export.conftest import ODD_SIZE, TINY, random_frames, random_network


def test_files(exported: ExportResult) -> None:
    found = sorted(path.relative_to(exported.folder).as_posix() for path in exported.folder.rglob("*.*"))
    assert found == [
        "manifest.json",
        "model.fp32.logits.onnx",
        "model.fp32.onnx",
        "reference/frames.npy",
        "reference/ids.json",
        "reference/student.npy",
        "reference/student_logits.npy",
        "reference/student_margin.npy",
        "reference/student_response.npy",
        "reference/teacher.npy",
        "reference/truth.npy",
    ]


def test_manifest(exported: ExportResult, workshop: Path) -> None:
    manifest = load_manifest(exported.folder)
    assert manifest == exported.manifest
    verify_files(exported.folder, manifest)
    assert manifest.source.run == "student"
    assert manifest.source.model == TINY.to_dict()
    assert manifest.source.weights_sha256 == sha256_file(workshop / "student" / "student.safetensors")
    assert (manifest.input.batch, manifest.input.height_px, manifest.input.width_px) == (1, *ODD_SIZE)
    assert manifest.outputs.labels.shape == [1, *ODD_SIZE]
    assert (manifest.normalisation.mean, manifest.normalisation.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert manifest.variants["fp32"].bytes == (exported.folder / "model.fp32.onnx").stat().st_size
    assert manifest.reference is not None
    assert manifest.reference.count == 3
    assert manifest.reference.teacher
    assert all(manifest.tools.values())


def test_graph_equals_torch_at_a_size_that_nothing_divides(exported: ExportResult) -> None:
    frames = random_frames(20, 2, ODD_SIZE)
    labels = run_graph(exported.folder / "model.fp32.onnx", frames, batch=1)
    logits = run_graph(exported.folder / "model.fp32.logits.onnx", frames, batch=1)
    expected = predict(random_network(2), frames, torch.device("cpu"))
    assert (labels == expected.labels).mean() >= 0.9999
    np.testing.assert_allclose(logits, expected.logits, rtol=1e-4, atol=1e-3)
    assert len(np.unique(labels)) >= 3


def test_recorded_labels_are_those_of_the_networks(exported: ExportResult) -> None:
    folder = exported.folder / "reference"
    frames = np.load(folder / "frames.npy")
    for name, seed in (("student", 2), ("teacher", 1)):
        expected = predict(random_network(seed), frames, torch.device("cpu"))
        np.testing.assert_array_equal(np.load(folder / f"{name}.npy"), expected.labels)


def test_metadata_of_the_graphs(exported: ExportResult) -> None:
    for name in ("model.fp32.onnx", "model.fp32.logits.onnx"):
        model = onnx.load(exported.folder / name)
        found = {entry.key: entry.value for entry in model.metadata_props}
        assert json.loads(found["classes"]) == exported.manifest.label_space.names
        assert len(json.loads(found["palette"])) == 19
        assert tuple(json.loads(found["mean"])) == IMAGENET_MEAN
        assert tuple(json.loads(found["std"])) == IMAGENET_STD
        assert found["weights_sha256"] == exported.manifest.source.weights_sha256
        assert (found["task"], found["color"]) == ("semantic-segmentation", "RGB")
        assert found["segkd_version"] == segkd.__version__


def test_no_trace_of_this_machine(exported: ExportResult, workshop: Path) -> None:
    places = {str(workshop), str(Path(segkd.__file__).parents[2]), str(Path.home()), os.path.dirname(onnx.__file__)}
    words = [place.encode() for place in places] + [b"site-packages", b".py", platform.node().encode()]
    words += [getpass.getuser().encode() + b"/"]
    for path in (*exported.folder.glob("*.onnx"), exported.folder / "manifest.json"):
        content = path.read_bytes()
        assert [word for word in words if word and word in content] == [], path.name


def test_a_changed_byte_is_noticed(exported: ExportResult, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(exported.folder, tmp_path / "copied"))
    graph = bytearray((copied / "model.fp32.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (copied / "model.fp32.onnx").write_bytes(graph)
    with pytest.raises(SegkdError, match=r"model\.fp32\.onnx has changed"):
        verify_files(copied, load_manifest(copied))


def test_a_folder_that_is_there_is_not_touched(exported: ExportResult, workshop: Path, tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="is already there"):
        export_artifact(ExportRequest(workshop / "student", out=exported.folder))
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(SegkdError, match="is no artifact folder"):
        export_artifact(ExportRequest(workshop / "student", out=tmp_path, overwrite=True))
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_a_place_that_cannot_be_written_is_known_before_the_work(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("dear")
    monkeypatch.setattr(artifact, "gather", lambda _: pytest.fail("worked"))
    with pytest.raises(SegkdError, match=r"out cannot be written: .*/file cannot; name a folder that can with --out"):
        export_artifact(ExportRequest(workshop / "student", out=tmp_path / "file" / "out"))


def test_links_are_followed_and_what_killed_exports_left_is_removed(
    exported: ExportResult, workshop: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported.folder, tmp_path / "there")
    (tmp_path / "link").symlink_to("there")
    (tmp_path / ".there.0.tmp").mkdir()
    (tmp_path / ".there.0.tmp" / "model.fp32.onnx").write_bytes(b"half")
    request = ExportRequest(workshop / "student", tmp_path / "link", reference=1, with_teacher=False, overwrite=True)
    export_artifact(request)
    assert (tmp_path / "link").is_symlink() and load_manifest(tmp_path / "there").reference is not None
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["link", "there"]


def test_a_graph_that_disagrees_leaves_nothing(
    float_model: Any, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph of the student, checked against frames that another network labelled."""
    monkeypatch.setattr(variants, "to_onnx", lambda *_: float_model)
    with pytest.raises(GateFailed, match="is not the network"):
        export_artifact(
            ExportRequest(
                workshop / "teacher", out=tmp_path / "out", data=f"cityscapes:{workshop / 'data'}", reference=1
            )
        )
    assert list(tmp_path.iterdir()) == []


def test_an_old_artifact_is_replaced_as_a_whole(
    exported: ExportResult, float_model: Any, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(exported.folder, tmp_path / "out"))
    (out / "parity.json").write_text("{}")
    monkeypatch.setattr(variants, "to_onnx", lambda *_: float_model)
    export_artifact(ExportRequest(workshop / "student", out=out, reference=1, with_teacher=False, overwrite=True))
    assert not (out / "parity.json").exists()
    manifest = load_manifest(out)
    verify_files(out, manifest)
    assert manifest.reference is not None
    assert (manifest.reference.count, manifest.reference.teacher) == (1, False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
