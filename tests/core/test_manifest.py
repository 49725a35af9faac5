from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd.manifest import (
    Box,
    Geometry,
    Input,
    Manifest,
    hash_files,
    load_manifest,
    verify_files,
    write_manifest,
)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def contents(graph: bytes = b"graph") -> dict[str, Any]:
    return {
        "schema": 1,
        "created": "2026-11-20T13:10:00+00:00",
        "segkd_version": "0.1.0",
        "source": {"run": "runs/a", "model": "pspnet-r18", "weights_sha256": sha(b"w"), "git": None},
        "label_space": {"names": ["road", "sky"], "palette": [[1, 2, 3], [4, 5, 6]], "ignore": 255},
        "input": {"name": "frames", "height_px": 96, "width_px": 192, "batch": 1},
        "outputs": {"labels": {"name": "labels", "dtype": "uint8", "shape": [1, 96, 192]}},
        "normalisation": {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
        "variants": {
            "fp32": {
                "file": "model.fp32.onnx",
                "precision": "fp32",
                "opset": 18,
                "sha256": sha(graph),
                "bytes": len(graph),
            }
        },
        "reference": {"count": 1, "files": {"frames": "reference/frames.npy"}, "ids": ["a"]},
        "files": {"model.fp32.onnx": sha(graph), "reference/frames.npy": sha(b"npy")},
    }


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    (tmp_path / "reference").mkdir()
    (tmp_path / "model.fp32.onnx").write_bytes(b"graph")
    (tmp_path / "reference" / "frames.npy").write_bytes(b"npy")
    write_manifest(tmp_path, Manifest.model_validate(contents()))
    return tmp_path


def test_round_trip(artifact: Path) -> None:
    manifest = load_manifest(artifact)
    assert manifest == Manifest.model_validate(contents())
    assert manifest.input.layout == "NHWC"
    assert json.loads((artifact / "manifest.json").read_text())["schema"] == 1
    verify_files(artifact, manifest)


def test_hash_files(artifact: Path) -> None:
    names = ["reference/frames.npy", "model.fp32.onnx"]
    assert list(hash_files(artifact, names).items()) == [
        ("model.fp32.onnx", sha(b"graph")),
        ("reference/frames.npy", sha(b"npy")),
    ]


def test_every_missing_and_changed_file_is_named(artifact: Path) -> None:
    (artifact / "model.fp32.onnx").write_bytes(b"grapf")
    (artifact / "reference" / "frames.npy").unlink()
    (artifact / "sub").mkdir()
    (artifact / "sub" / "other.onnx").write_bytes(b"x")
    (artifact / "notes.txt").write_bytes(b"notes are allowed")
    with pytest.raises(SegkdError) as error:
        verify_files(artifact, load_manifest(artifact))
    assert str(error.value) == (
        f"{artifact}: model.fp32.onnx has changed; reference/frames.npy is missing; "
        "sub/other.onnx is not in the manifest; export again"
    )


@pytest.mark.parametrize(
    "name", ["model.fp32.onnx", "model.fp32.logits.onnx", "reference/frames.npy", "reference/ids.json"]
)
def test_a_file_that_was_blown_up_is_not_hashed(artifact: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(path: Path) -> str:
        assert path.stat().st_size < 1 << 30, f"{path} was read"
        return sha(path.read_bytes())

    monkeypatch.setattr("segkd.manifest.sha256_file", hashed)
    np.save(artifact / "reference" / "frames.npy", np.zeros((1, 4), np.uint8))
    (artifact / "reference" / "ids.json").write_text("[]")
    (artifact / "model.fp32.logits.onnx").write_bytes(b"logits")
    values = contents()
    values["variants"]["fp32"]["logits_file"] = "model.fp32.logits.onnx"
    names = ("model.fp32.onnx", "model.fp32.logits.onnx", "reference/frames.npy", "reference/ids.json")
    values["files"] = {name: sha((artifact / name).read_bytes()) for name in names}
    manifest = Manifest.model_validate(values)
    verify_files(artifact, manifest)
    os.truncate(artifact / name, 6 << 30)
    with pytest.raises(SegkdError, match=f"{re.escape(name)} has changed; export again"):
        verify_files(artifact, manifest)


def test_a_large_array_that_is_whole_is_hashed(artifact: Path) -> None:
    array = np.lib.format.open_memmap(artifact / "reference" / "frames.npy", "w+", np.uint8, (65 << 20,))
    del array
    values = contents()
    values["files"]["reference/frames.npy"] = hash_files(artifact, ["reference/frames.npy"])["reference/frames.npy"]
    verify_files(artifact, Manifest.model_validate(values))


def test_a_variant_without_a_hash(artifact: Path) -> None:
    values = contents()
    del values["files"]["model.fp32.onnx"]
    with pytest.raises(SegkdError, match=r"model\.fp32\.onnx of variant fp32 has no hash"):
        verify_files(artifact, Manifest.model_validate(values))


def test_a_variant_with_another_hash(artifact: Path) -> None:
    values = contents()
    values["variants"]["fp32"]["sha256"] = sha(b"other")
    with pytest.raises(SegkdError, match=r"model\.fp32\.onnx has two different hashes"):
        verify_files(artifact, Manifest.model_validate(values))


def test_an_unknown_variant(artifact: Path) -> None:
    with pytest.raises(SegkdError, match="no variant 'int8'; it has fp32"):
        load_manifest(artifact).variant("int8")
    assert load_manifest(artifact).variant("fp32").opset == 18


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"is no artifact folder: it has no manifest\.json"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schema",), 2, "schema: this segkd reads manifest schema 1, not 2"),
        (("extra",), 1, "extra: Extra inputs are not permitted"),
        (("input", "height_px"), 0, "input.height_px: "),
        (("input", "dtype"), "float32", "input.dtype: "),
        (("input", "color"), "NV12", "input: layout NHWC and yuv None do not go with color NV12"),
        (("input", "yuv"), "bt601", "input: layout NHWC and yuv bt601 do not go with color RGB"),
        (("variants", "fp32", "activations"), "s4", "variants.fp32.activations: "),
        (("variants",), {}, "variants: "),
        (("files", "../secret"), "0" * 64, "files.*does not lie inside the artifact folder"),
        (("files", "/etc/passwd"), "0" * 64, "files.*does not lie inside the artifact folder"),
        (("files", "a"), "not a hash", "files.a: "),
        (("variants", "fp32", "file"), "../model.onnx", "variants.fp32.file: .*does not lie inside"),
    ],
)
def test_what_is_no_manifest(artifact: Path, path: tuple[str, ...], value: Any, message: str) -> None:
    values = copy.deepcopy(contents())
    section = values
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    (artifact / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(SegkdError, match=rf"manifest\.json: {message}"):
        load_manifest(artifact)


def test_a_manifest_lacking_a_section(artifact: Path) -> None:
    values = contents()
    del values["outputs"]
    (artifact / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(SegkdError, match=r"manifest\.json: outputs: Field required"):
        load_manifest(artifact)


@pytest.mark.parametrize(
    ("labels", "content", "labels_px", "counted"),
    [
        ("frame", (13, 0, 33, 100), (40, 120), None),
        ("graph", (13, 0, 33, 100), (60, 100), (13, 0, 33, 100)),
        ("graph", (0, 0, 60, 100), (60, 100), None),
    ],
)
def test_the_labels_of_a_camera(
    labels: Literal["frame", "graph"], content: tuple[int, int, int, int], labels_px: tuple[int, int], counted: Any
) -> None:
    top_px, left_px, height_px, width_px = content
    box = Box(top_px=top_px, left_px=left_px, height_px=height_px, width_px=width_px)
    geometry = Geometry(height_px=60, width_px=100, resize="letterbox", content=box, labels=labels)
    assert geometry.labels_px(Input(name="frames", height_px=40, width_px=120)) == labels_px
    assert geometry.content_px() == counted


def test_nv12_has_even_sides() -> None:
    with pytest.raises(ValueError, match="even sides, not 41x120"):
        Input(name="frames", layout="NHW", color="NV12", yuv="bt709", height_px=41, width_px=120)
