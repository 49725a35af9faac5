from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from segkd.errors import SegkdError
from segkd_export.precision.calibration import Ranges, collect_statistics
from segkd_export.precision.int8 import FORMS, find_layers, prepare, quantise, tensors_of
from segkd_export.precision.probe import Probe
from tests.export.conftest import ODD_SIZE, random_frames

FRAMES = random_frames(4, 3, ODD_SIZE)


@pytest.fixture(scope="module")
def ranges(float_model: Any) -> Ranges:
    names = tensors_of(float_model, find_layers(float_model))
    seen = collect_statistics(float_model, names, (frame[None] for frame in FRAMES))
    return {name: found.limits("minmax") for name, found in seen.items()}


@pytest.fixture(scope="module")
def quantised(float_model: Any, ranges: Ranges) -> dict[str, Any]:
    return {form: quantise(prepare(float_model), form, ranges, find_layers(float_model)) for form in FORMS}


def constants(model: Any) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_layers_are_all_convolutions_and_the_residual_sums(float_model: Any) -> None:
    layers = find_layers(float_model)
    counts = Counter(node.op_type for node in float_model.graph.node)
    assert sum(layer.kind == "Conv" for layer in layers) == counts["Conv"] == 17
    assert sum(layer.kind == "Add" for layer in layers) == counts["Add"] == 4
    assert layers[0].name == "backbone.stem.0" and layers[-1].name == "decode_head.conv_seg"
    assert len({layer.name for layer in layers}) == len(layers)
    assert "sum 1 after backbone.layer1.0.conv2" in {layer.name for layer in layers}


def test_sums_of_other_things_are_no_layers(float_model: Any) -> None:
    """Add the frame itself to the first sum: what it gives is no sum of convolutions any more."""
    model = onnx.ModelProto()
    model.CopyFrom(float_model)
    first = next(node for node in model.graph.node if node.op_type == "Add")
    image = next(node for node in model.graph.node if node.op_type == "Div").output[0]
    first.input[1] = image
    assert next(layer.node for layer in find_layers(model) if layer.kind == "Add") != first.name


def test_signed_and_symmetric_for_tensorrt(quantised: dict[str, Any]) -> None:
    model = quantised["int8"]
    values = constants(model)
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        zero = values[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()
    assert not any(array.dtype == np.int32 for array in values.values()), "no quantised bias"
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Add"):
            assert all(makers[name].op_type == "DequantizeLinear" for name in node.input[:2]), node.name
            readers = [other.op_type for other in model.graph.node if node.output[0] in other.input]
            assert node.op_type == "Add" or "QuantizeLinear" not in readers or "Add" in _readers(model, node)


def _readers(model: Any, node: Any) -> list[str]:
    """Operators that read a value through a pair."""
    reached = {node.output[0]}
    for other in model.graph.node:
        if other.op_type in ("QuantizeLinear", "DequantizeLinear") and other.input[0] in reached:
            reached.add(other.output[0])
    return [other.op_type for other in model.graph.node if reached.intersection(other.input)]


def test_unsigned_activations_and_signed_weights_for_cpus(quantised: dict[str, Any]) -> None:
    model = quantised["int8-cpu"]
    values = constants(model)
    kinds = {values[node.input[2]].dtype for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert kinds == {np.dtype(np.uint8)}
    assert [node.op_type for node in model.graph.node].count("Relu") == 0, "its range cuts off what a ReLU would"
    weights = [array for array in values.values() if array.dtype == np.int8 and array.ndim == 4]
    assert len(weights) == 17


@pytest.mark.parametrize("form", FORMS)
def test_weights_have_a_scale_per_channel(quantised: dict[str, Any], form: str) -> None:
    values = constants(quantised[form])
    for node in quantised[form].graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in values and values[node.input[0]].ndim == 4:
            assert values[node.input[1]].shape == values[node.input[0]].shape[:1]
            assert np.abs(values[node.input[0]]).max() == 127


@pytest.mark.parametrize("form", FORMS)
def test_front_and_tail_stay_in_float(quantised: dict[str, Any], float_model: Any, form: str) -> None:
    model = quantised[form]
    assert [node.op_type for node in model.graph.node][:4] == ["Cast", "Transpose", "Sub", "Div"]
    assert [node.op_type for node in model.graph.node][-4:] == ["Resize", "ArgMax", "Cast", "Cast"]
    assert model.opset_import[0].version == float_model.opset_import[0].version == 18
    assert model.metadata_props == float_model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


@pytest.mark.parametrize("form", FORMS)
def test_it_says_nearly_the_same(quantised: dict[str, Any], float_model: Any, form: str) -> None:
    score = Probe(float_model, list(FRAMES), None, 1, 19).score(quantised[form])
    assert score.agreement > 0.95 and 0 < score.logits_relative_l2 < 0.05


@pytest.mark.parametrize("form", FORMS)
def test_the_same_bytes_again(quantised: dict[str, Any], float_model: Any, ranges: Ranges, form: str) -> None:
    again = quantise(prepare(float_model), form, ranges, find_layers(float_model))
    assert again.SerializeToString(deterministic=True) == quantised[form].SerializeToString(deterministic=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_that_is_left_out_keeps_its_weights(float_model: Any, ranges: Ranges, form: str) -> None:
    layers = find_layers(float_model)
    model = quantise(prepare(float_model), form, ranges, layers[:-1])
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["segmenter.decode_head.conv_seg.weight"] == TensorProto.FLOAT
    assert "segmenter.backbone.stem.0.weight" not in kinds


def test_a_network_without_convolutions(float_model: Any) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(float_model)
    for node in model.graph.node:
        node.op_type = "MatMul" if node.op_type == "Conv" else node.op_type
    with pytest.raises(SegkdError, match="int8 is for convolutions"):
        find_layers(model)
