from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkd.errors import GateFailed, SegkdError
from segkd.files import sha256_file
from segkd_deploy.artifact import open_artifact
from segkd_deploy.graph_spec import GraphSpec
from tests.deploy.artifacts import COUNT, HEIGHT_PX, NAMES, WIDTH_PX, change_a_byte, make_frames, save_manifest


def test_opens(pristine: Path) -> None:
    artifact = open_artifact(pristine)
    assert artifact.spec() == GraphSpec(1, HEIGHT_PX, WIDTH_PX, 3)
    assert artifact.class_names == NAMES
    assert artifact.manifest_sha256 == sha256_file(pristine / "manifest.json")
    assert artifact.variants() == artifact.variants(["fp32"]) == ["fp32"]
    reference = artifact.reference()
    np.testing.assert_array_equal(reference.frames, make_frames())
    assert reference.teacher is not None
    assert reference.ids == [f"frame{index}" for index in range(COUNT)]


@pytest.mark.parametrize("name", ["model.fp32.onnx", "model.fp32.logits.onnx", "reference/truth.npy"])
def test_changed_byte_is_named(artifact: Path, name: str) -> None:
    change_a_byte(artifact / name)
    with pytest.raises(GateFailed, match=f"{name} has changed"):
        open_artifact(artifact)


def test_missing_file_is_named(artifact: Path) -> None:
    (artifact / "reference" / "student.npy").unlink()
    with pytest.raises(GateFailed, match=r"reference/student\.npy is missing"):
        open_artifact(artifact)


def test_folder_that_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="no artifact folder") as error:
        open_artifact(tmp_path)
    assert error.value.exit_code == 2


def test_unknown_variant(pristine: Path) -> None:
    with pytest.raises(SegkdError, match="no variant 'int8'; it has fp32"):
        open_artifact(pristine).variants(["int8"])


def test_reference_of_another_shape(artifact: Path) -> None:
    np.save(artifact / "reference" / "student.npy", np.zeros((COUNT, 2, 2), np.uint8))
    save_manifest(artifact)
    with pytest.raises(SegkdError, match=r"student\.npy: expected uint8 \(3, 16, 24\), found uint8 \(3, 2, 2\)"):
        open_artifact(artifact).reference()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(reference=None), "no reference frames"),
        (lambda manifest: manifest["reference"]["files"].pop("margins"), "has no 'margins'"),
        (lambda manifest: manifest["files"].pop("reference/truth.npy"), "has no hash"),
    ],
)
def test_incomplete_reference(artifact: Path, change, message: str) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text())
    change(manifest)
    (artifact / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SegkdError, match=message):
        open_artifact(artifact).reference()


def with_variants(folder: Path, *names: str) -> Path:
    """The manifest says that fp32's graph also goes by other names."""
    content = json.loads((folder / "manifest.json").read_text())
    fp32 = content["variants"].pop("fp32")
    for name in names:
        content["variants"][name] = {**fp32, "precision": name.removesuffix("-cpu")}
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("names", "runtime", "provider", "chosen"),
    [
        (("fp32", "int8", "int8-cpu"), "onnxruntime", "cpu", "int8-cpu"),
        (("fp32", "int8", "int8-cpu"), "onnxruntime", "openvino", "int8-cpu"),
        (("fp32", "int8", "int8-cpu"), "onnxruntime", "tensorrt", "int8"),
        (("fp32", "int8", "int8-cpu"), "onnxruntime", "cuda", "int8"),
        (("fp32", "int8", "int8-cpu"), "tensorrt", "cuda:0", "int8"),
        (("fp32", "int8"), "onnxruntime", "cpu", "int8"),
    ],
)
def test_the_form_of_int8_that_a_runtime_runs_best(
    artifact: Path, names: tuple[str, ...], runtime: str, provider: str, chosen: str
) -> None:
    opened = open_artifact(with_variants(artifact, *names))
    assert opened.variant_for("int8", runtime, provider) == chosen
    assert opened.variant_for("fp32", runtime, provider) == "fp32"
    with pytest.raises(SegkdError, match=r"no fp16 variant, only fp32, int8; .*--precision fp16"):
        opened.variant_for("fp16", runtime, provider)
