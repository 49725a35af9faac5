from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.to_onnx import cut_to, strip_provenance, to_onnx
from tests.export.conftest import random_frames, random_network

IMGSZ = (64, 128)


@pytest.fixture(scope="module")
def both() -> Any:
    """A batch of two at a size that the stride divides, with labels and logits."""
    graph = DeployGraph(deployable(random_network(3), IMGSZ), CameraFrame(IMGSZ))
    return to_onnx(graph, torch.zeros(2, *IMGSZ, 3, dtype=torch.uint8), OUTPUTS, {"task": "test", "a": "b"})


@pytest.fixture(scope="module")
def model(both: Any) -> Any:
    """The complete graph."""
    return cut_to(both, "labels")


def test_labels_equal_torch(model: Any) -> None:
    frames = random_frames(7, 2, IMGSZ)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    labels = session.run(["labels"], {"frames": frames})[0]
    with torch.no_grad():
        expected = DeployGraph(random_network(3), CameraFrame(IMGSZ))(torch.from_numpy(frames))[0].numpy()
    assert labels.dtype == np.uint8
    assert labels.shape == (2, *IMGSZ)
    assert (labels == expected).mean() >= 0.9999
    assert len(np.unique(expected)) >= 3


def test_the_twin_ends_at_the_logits(both: Any, model: Any) -> None:
    twin = cut_to(both, "logits")
    assert [output.name for output in twin.graph.output] == ["logits"]
    assert [dim.dim_value for dim in twin.graph.output[0].type.tensor_type.shape.dim] == [2, 19, 8, 16]
    assert list(twin.graph.node) == list(model.graph.node)[:-4], "all but Resize, ArgMax and two casts"
    assert [node.op_type for node in list(model.graph.node)[-4:]] == ["Resize", "ArgMax", "Cast", "Cast"]
    assert len(twin.graph.initializer) == len(model.graph.initializer) - 1, "the size of the Resize is gone"
    assert list(both.metadata_props) == list(twin.metadata_props)


def test_input_and_output(model: Any) -> None:
    tensors = {tensor.name: tensor.type.tensor_type for tensor in (*model.graph.input, *model.graph.output)}
    shapes = {name: [dim.dim_value for dim in tensor.shape.dim] for name, tensor in tensors.items()}
    assert shapes == {"frames": [2, 64, 128, 3], "labels": [2, 64, 128]}
    assert {tensor.elem_type for tensor in tensors.values()} == {onnx.TensorProto.UINT8}
    assert [opset.version for opset in model.opset_import] == [18]


def test_the_cast_comes_before_the_transposition(model: Any) -> None:
    first = next(node for node in model.graph.node if "frames" in node.input)
    second = next(node for node in model.graph.node if first.output[0] in node.input)
    assert (first.op_type, second.op_type) == ("Cast", "Transpose")


def test_pools_are_two_products_each_and_normalisations_are_folded(model: Any) -> None:
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts["MatMul"] == 8
    assert counts["Resize"] == 5
    assert counts["ArgMax"] == 1
    assert counts["BatchNormalization"] == 0
    assert counts["Slice"] == counts["ReduceMean"] == counts["AveragePool"] == counts["Dropout"] == 0
    assert len(model.graph.node) < 60


def test_resizes_have_exact_sizes(model: Any) -> None:
    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    assert all(len(node.input) == 4 and not node.input[2] for node in resizes), "sizes given, not rounded scales"


def test_only_our_metadata(model: Any) -> None:
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("a", "b"), ("task", "test")]
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert not any(info.metadata_props for info in (*model.graph.input, *model.graph.output, *model.graph.value_info))


def test_provenance_is_stripped_at_every_depth() -> None:
    inner = onnx.helper.make_node("Identity", ["x"], ["y"], doc_string="from a.py")
    branch = onnx.helper.make_graph([inner], "branch", [], [onnx.helper.make_empty_tensor_value_info("y")])
    node = onnx.helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    graph = onnx.helper.make_graph([node], "g", [], [], doc_string="from b.py")
    onnx.helper.set_model_props(model := onnx.helper.make_model(graph), {"stack_trace": "c.py"})
    strip_provenance(model)
    assert b".py" not in model.SerializeToString()
    assert model.graph.node[0].attribute[0].g.node[0].op_type == "Identity"
