from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segkd.errors import SegkdError
from segkd.manifest import load_manifest
from segkd_deploy.artifact import open_artifact
from segkd_deploy.onnx_file.agreement import require_agreement
from segkd_deploy.onnx_file.header import read_header
from tests.deploy.artifacts import NAMES, make_artifact, save_manifest

SAID = {
    "classes": json.dumps(NAMES),
    "palette": "[[255, 0, 0], [0, 255, 0], [0, 0, 255]]",
    "ignore": "255",
    "color": "RGB",
    "mean": "[0.0, 0.0, 0.0]",
    "std": "[1.0, 1.0, 1.0]",
    "weights_sha256": "0" * 64,
}


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact whose graph says all of itself."""
    folder = make_artifact(tmp_path_factory.mktemp("telling") / "artifact")
    graph = onnx.load(folder / "model.fp32.onnx")
    helper.set_model_props(graph, SAID)
    onnx.save(graph, folder / "model.fp32.onnx")
    save_manifest(folder)
    return folder


@pytest.fixture
def artifact(telling: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(telling, tmp_path / "artifact"))


def edit(folder: Path, *keys: str, value: Any) -> None:
    """Change one value of the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    part = manifest
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(manifest))


def test_a_true_manifest_agrees(artifact: Path) -> None:
    assert open_artifact(artifact).class_names == NAMES


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("label_space", "names"), ["blue", "green", "red"], "classes"),
        (("label_space", "names"), ["red", "green"], "classes"),
        (("label_space", "palette"), [[0, 0, 0]] * 3, "palette"),
        (("label_space", "ignore"), 0, "ignore"),
        (("normalisation", "mean"), [1, 0, 0], "mean"),
        (("normalisation", "std"), [1, 1, 2], "std"),
        (("input", "name"), "image", "name of the input"),
        (("input", "color"), "BGR", "color"),
        (("input", "height_px"), 8, "shape of the input"),
        (("outputs", "labels", "name"), "classes", "name of the output"),
        (("outputs", "labels", "shape"), [1, 8, 24], "shape of the output"),
        (("variants", "fp32", "bytes"), 5, "bytes"),
        (("variants", "fp32", "opset"), 11, "opset"),
        (("source", "weights_sha256"), "1" * 64, "weights_sha256"),
    ],
)
def test_contradictions_are_named(artifact: Path, keys: tuple[str, ...], value: object, words: str) -> None:
    edit(artifact, *keys, value=value)
    with pytest.raises(SegkdError, match=rf"contradict each other.*model\.fp32\.onnx: .*{words}") as caught:
        open_artifact(artifact)
    assert len(str(caught.value)) < 1500
    open_artifact(artifact, graphs=False)


def _external(location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(1000, np.float32), "kernel")
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    return tensor


@pytest.mark.parametrize("place", ["initializer", "attribute", "inner graph"])
def test_weights_outside_the_graph_need_a_hash(artifact: Path, place: str) -> None:
    path = artifact / "model.fp32.onnx"
    model = onnx.load(path)
    if place == "initializer":
        model.graph.initializer.append(_external("w.bin"))
    elif place == "attribute":
        model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=_external("w.bin")))
    else:
        inner = helper.make_graph([], "inner", [], [], [_external("w.bin")])
        model.graph.node.append(helper.make_node("If", ["no"], ["unused"], then_branch=inner, else_branch=inner))
    path.write_bytes(model.SerializeToString())
    assert read_header(path).external == {"w.bin"}
    save_manifest(artifact)
    with pytest.raises(SegkdError, match=r"keeps weights in w\.bin, which has no hash"):
        require_agreement(artifact, load_manifest(artifact))
    (artifact / "w.bin").write_bytes(bytes(4000))
    save_manifest(artifact)
    require_agreement(artifact, load_manifest(artifact))


def test_a_graph_without_outputs(artifact: Path) -> None:
    path = artifact / "model.fp32.onnx"
    model = onnx.load(path)
    del model.graph.output[:]
    path.write_bytes(model.SerializeToString())
    save_manifest(artifact)
    with pytest.raises(SegkdError, match="no inputs or no outputs"):
        open_artifact(artifact)


@pytest.mark.parametrize("how", ["objects", "cut", "too large", "text"])
def test_a_reference_that_is_no_array(artifact: Path, how: str) -> None:
    path = artifact / "reference" / "frames.npy"
    if how == "objects":
        np.save(path, np.array([{}, []], object), allow_pickle=True)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "too large":
        path.write_bytes(path.read_bytes().replace(b"(3, 16", b"(3000000, 1600000"[:17]))
    else:
        path.write_text("no array")
    save_manifest(artifact)
    with pytest.raises(SegkdError, match=r"frames\.npy: is no array of numbers"):
        open_artifact(artifact).frames()
