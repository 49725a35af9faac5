"""8-bit graphs by QuantizeLinear/DequantizeLinear pairs, in the two forms that runtimes have instructions for."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from segkd.errors import SegkdError, import_extra
from segkd_export.graph.exporter_errors import foreign
from segkd_export.graph.to_onnx import strip_provenance
from segkd_export.precision.calibration import Ranges
from segkd_export.precision.regions import in_order, split_regions

# Operators through which a value passes on its way from one convolution to another.
PASSING = frozenset({"Relu", "Clip", "Resize", "MaxPool", "AveragePool", "HardSwish", "HardSigmoid", "Sigmoid", "Mul"})


@dataclass(frozen=True)
class Layer:
    """Something that can be quantised on its own.

    Attributes:
        name: for people: the name of its weights without ``.weight``, or where a sum lies.
        node: name of its node.
        kind: operator type.
        tensors: names of the values that it reads and gives.
    """

    name: str
    node: str
    kind: Literal["Conv", "Add"]
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """One way to write 8-bit numbers.

    Attributes:
        activations: ``s8``: signed and symmetric; ``u8``: unsigned with a zero point.
        options: for onnxruntime's quantiser.
        kinds: operator types that it works on.
    """

    activations: Literal["s8", "u8"]
    options: dict[str, Any]
    kinds: tuple[str, ...]


# TensorRT takes no zero points, no quantised biases, and fuses best with pairs before its operators alone. CPUs
# multiply unsigned by signed bytes, want both sides of an operator quantised, and let the range do what a ReLU does.
FORMS: dict[str, Form] = {
    "int8": Form(
        "s8",
        {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv", "Add"],
        },
        ("Conv", "Add"),
    ),
    "int8-cpu": Form("u8", {"ActivationSymmetric": False, "WeightSymmetric": True}, ("Conv", "Add", "Relu", "Clip")),
}


def find_layers(model: Any) -> list[Layer]:
    """The convolutions of the network's body, and the sums of what convolutions give, in the graph's order.

    Sums of anything else stay in float: in networks that are no convolutional ones, they would only add rounding.

    Args:
        model: an ``onnx.ModelProto`` in float32.

    Raises:
        SegkdError: if it has no convolution.
    """
    body = split_regions(model).body
    weights = {tensor.name for tensor in model.graph.initializer}
    makers = {name: node for node in body for name in node.output}

    layers: list[Layer] = []
    quantised: set[str] = set()
    sums, before = 0, "the input"

    for node in body:
        values = [name for name in node.input if name and name not in weights]
        if node.op_type == "Conv" and node.input[1] in weights:
            before = _readable(node.input[1])
            layers.append(Layer(before, node.name, "Conv", (*values, *node.output)))
        elif node.op_type == "Add" and len(values) == 2 and all(_from_layer(quantised, makers, v) for v in values):
            sums += 1
            layers.append(Layer(f"sum {sums} after {before}", node.name, "Add", (*values, *node.output)))
        else:
            continue
        quantised.update(node.output)

    if not layers:
        raise SegkdError("int8 is for convolutions, and this network has none; use --precision fp16")
    return layers


def tensors_of(model: Any, layers: Collection[Layer]) -> list[str]:
    """The values whose ranges the layers need, in any form."""
    names = {name for layer in layers for name in layer.tensors}
    behind = _activations(model, {layer.node for layer in layers})
    return sorted(names | {name for node in model.graph.node if node.name in behind for name in node.output})


def prepare(model: Any) -> Any:
    """A copy of a float32 model with the shape of every value.

    Args:
        model: an ``onnx.ModelProto`` in float32.
    """
    onnx = import_extra("onnx", "export")
    return onnx.shape_inference.infer_shapes(model)


def quantise(model: Any, form: str, ranges: Ranges, layers: Collection[Layer]) -> Any:
    """Quantise some layers of a graph; the same arguments give the same bytes.

    Args:
        model: what :func:`prepare` gave.
        form: a key of ``FORMS``.
        ranges: tensor -> smallest and largest value, for all tensors of the layers.
        layers: layers to quantise; weights per channel, symmetric.

    Returns:
        A new model.
    """
    onnx = import_extra("onnx", "export")
    import_extra("onnxruntime", "export")
    import numpy as np
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    chosen = FORMS[form]
    base = onnx.ModelProto()
    base.CopyFrom(model)
    pairs = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    nodes = {layer.node for layer in layers}
    nodes |= _activations(base, nodes) if "Relu" in chosen.kinds else set()
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    advice = "leave out int8, or use --precision fp16"
    try:
        with foreign("onnxruntime's quantisation", advice):
            quantiser = QDQQuantizer(
                base,
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QInt8 if chosen.activations == "s8" else QuantType.QUInt8,
                tensors_range=TensorsData(CalibrationMethod.MinMax, pairs),
                nodes_to_quantize=sorted(nodes),
                nodes_to_exclude=[],
                op_types_to_quantize=list(chosen.kinds),
                extra_options=dict(chosen.options),
            )
            quantiser.quantize_model()
    finally:
        logging.disable(disabled)
    result = quantiser.model.model
    nodes_in_order = in_order(result.graph.node)
    result.graph.ClearField("node")
    result.graph.node.extend(nodes_in_order)
    props = {entry.key: entry.value for entry in model.metadata_props}
    strip_provenance(result)
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    onnx.helper.set_model_props(result, dict(sorted(props.items())))
    return result


def _readable(name: str) -> str:
    return name.removeprefix("segmenter.").removesuffix(".weight")


def _from_layer(quantised: set[str], makers: dict[str, Any], name: str) -> bool:
    """Whether a value is what a quantised layer gave, or was made of it without weights of its own."""
    while name not in quantised and name in makers and makers[name].op_type in PASSING:
        name = makers[name].input[0]
    return name in quantised


def _activations(model: Any, nodes: Collection[str]) -> set[str]:
    """ReLUs and clips right behind some nodes."""
    outputs = {name for node in model.graph.node if node.name in nodes for name in node.output}
    return {node.name for node in model.graph.node if node.op_type in ("Relu", "Clip") and node.input[0] in outputs}
