"""Lint's rules about operators: which ones a line of TensorRT has, and in which of ONNX's forms.

Sources: onnx-tensorrt's ``docs/operators.md`` for 8.5, 10.0 and 10.15, and its changelog from 8.5 to 10.15.
"""

from __future__ import annotations

from collections.abc import Iterator

from segkd_deploy.chips import Line
from segkd_export.graph.opset import REDUCTIONS
from segkd_export.lint.graph import ONNX_DOMAINS, Finding, LintGraph, found

# Every version from 8.5 on has these.
_ALWAYS = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip Concat
Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu
Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool
GlobalMaxPool Greater GreaterOrEqual GridSample HardSigmoid HardSwish Identity If ImageScaler InstanceNormalization
IsNaN LRN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean
MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow
QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
ReverseSequence RoiAlign Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin
Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
Transpose Trilu Unsqueeze Upsample Where Xor
"""
OPERATORS = frozenset(_ALWAYS.split())
# Operator -> the first version that takes it.
SINCE: dict[str, tuple[int, int]] = {
    "LayerNormalization": (8, 6),
    "GroupNormalization": (8, 6),
    "IsInf": (8, 6),
    "Hardmax": (9, 2),
    "CastLike": (10, 0),
    "Gelu": (10, 0),
    "Mish": (10, 0),
    "DeformConv": (10, 1),
    "BlackmanWindow": (10, 4),
    "HammingWindow": (10, 4),
    "HannWindow": (10, 4),
    "STFT": (10, 5),
    "Attention": (10, 14),
    "RMSNormalization": (10, 15),
    "RotaryEmbedding": (10, 15),
    "Swish": (11, 0),
}
NOT_IN_RTX = frozenset({"DeformConv"})
# QOperator format, which needs plugins that nobody has.
QOPERATORS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})


def opset(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """The opset is in the range of the parser's documentation, and every operator in ONNX's own domain."""
    version = graph.opsets.get("", 0)
    if version > line.max_opset:
        message = f"opset {version}; the parser of TensorRT {line.name} documents opsets up to {line.max_opset}"
        yield Finding("warning", "opset", "", "", message, "compile it there, or export with --opset 17")
    for node in graph.nodes:
        if node.domain not in ONNX_DOMAINS and (node.domain, node.op_type) not in graph.functions:
            message = f"operator of domain {node.domain}, which TensorRT looks for among its plugins"
            yield found("error", "domain", node, message, "export again; do not save graphs that onnxruntime optimised")


def operator(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Every operator is one that the parser takes."""
    for node in graph.nodes:
        name = node.op_type
        if node.domain not in ONNX_DOMAINS or (node.domain, name) in graph.functions:
            continue
        if name in QOPERATORS:
            advice = "quantise in QDQ format (QuantizeLinear, DequantizeLinear)"
            yield found("error", "operator", node, "integer operators need a plugin", advice)
        elif line.name.startswith("rtx") and name in NOT_IN_RTX:
            yield found("error", "operator", node, "TensorRT-RTX does not have it", "use tensorrt, or another network")
        elif name in SINCE and line.version < SINCE[name]:
            first = ".".join(map(str, SINCE[name]))
            yield found("error", "operator", node, f"TensorRT has it from {first}", "decompose it, or use a newer one")
        elif name not in OPERATORS and name not in SINCE:
            yield found("error", "operator", node, "TensorRT does not have it", "express it by other operators")


def new_forms(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Forms of operators that opset 18 brought, which 8.x does not read."""
    if line.version >= (9, 0):
        return
    for node in graph.of(*REDUCTIONS):
        if graph.input_of(node, 1):
            advice = "export with --opset 17"
            yield found("error", "opset-18", node, "axes as an input, the form of opset 18", advice)
    for node in graph.of("Split"):
        if graph.attribute(node, "num_outputs") is not None:
            yield found(
                "error", "opset-18", node, "num_outputs, an attribute of opset 18", "give the sizes as an input"
            )
    for node in graph.of("Pad"):
        if graph.input_of(node, 3):
            yield found("error", "opset-18", node, "axes as an input, the form of opset 18", "pad all axes")


def axes(graph: LintGraph, line: Line) -> Iterator[Finding]:
    """Reductions know their axes when the engine is built."""
    for node in graph.of(*REDUCTIONS, "ReduceSum"):
        name = graph.input_of(node, 1)
        if name and graph.depends_on_inputs(name):
            yield found("error", "axes", node, "axes are computed", "store them as an initializer")
