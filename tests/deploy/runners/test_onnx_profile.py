from __future__ import annotations

from pathlib import Path

from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners.onnx_profile import nodes_per_provider, profile_nodes
from segkd_deploy.runners.onnxruntime import provider_options
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX

SPEC = GraphSpec(1, HEIGHT_PX, WIDTH_PX, 3)


def test_nodes_are_those_of_the_file(pristine: Path) -> None:
    nodes = profile_nodes(pristine / "model.fp32.onnx", SPEC)
    assert nodes is not None
    (convolution,) = [node for node in nodes if node["op_name"] == "Conv"]
    shapes = [next(iter(entry.values())) for entry in convolution["input_type_shape"]]
    assert shapes == [[1, 3, HEIGHT_PX, WIDTH_PX], [3, 3, 1, 1], [3]]


def test_where_nodes_run(pristine: Path) -> None:
    found = nodes_per_provider(pristine / "model.fp32.onnx", SPEC, "cpu", 1)
    assert found is not None and list(found) == ["CPUExecutionProvider"] and found["CPUExecutionProvider"] >= 3


def test_a_graph_that_does_not_run_has_no_profile(pristine: Path) -> None:
    assert profile_nodes(pristine / "manifest.json", SPEC) is None
    assert nodes_per_provider(pristine / "manifest.json", SPEC, "cpu", 1) is None


def test_openvino_is_told_its_threads() -> None:
    assert provider_options("openvino", 3) == {"num_of_threads": "3"}
    assert provider_options("cpu", 3) == {}
