"""What a network costs: multiply-adds by fvcore's rules, and parameters.

The published tables of the BPKD paper follow ``fvcore.nn.FlopCountAnalysis`` (facebookresearch/fvcore), whose rules
this counter applies to the operators that torch dispatches:

    convolution, linear, matmul    1 per multiply-add, bias not counted
    batch normalisation            2 per element of the input (evaluation mode, affine)
    layer normalisation            5 per element of the input
    bilinear / nearest resize      4 / 1 per element of the output
    adaptive average pooling       1 per element of the input
    all others                     0

Differs from the original: it follows the operators that run, not a traced graph, so a resize that changes nothing
and is skipped is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from segkd_distill.models.segmenter import Segmenter

aten = torch.ops.aten


def _convolution(args: tuple[Any, ...], out: Tensor) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    return x.shape[0] * weight.numel() * prod((x if transposed else out).shape[2:])


def _matrix_product(args: tuple[Any, ...], out: Tensor) -> int:
    return out.numel() * args[0].shape[-1]


def _matrix_product_with_bias(args: tuple[Any, ...], out: Tensor) -> int:
    return out.numel() * args[1].shape[-1]


def _per_input(factor: int) -> Callable[[tuple[Any, ...], Tensor], int]:
    return lambda args, out: factor * args[0].numel()


def _per_output(factor: int) -> Callable[[tuple[Any, ...], Tensor], int]:
    return lambda args, out: factor * out.numel()


def _mean(args: tuple[Any, ...], out: Tensor) -> int:
    """Adaptive average pooling to one cell, which torch runs as a mean over height and width."""
    spatial = args[0].ndim == 4 and sorted(axis % 4 for axis in args[1]) == [2, 3]
    return args[0].numel() if spatial else 0


RULES: dict[Any, Callable[[tuple[Any, ...], Tensor], int]] = {
    aten.convolution: _convolution,
    aten.mm: _matrix_product,
    aten.bmm: _matrix_product,
    aten.addmm: _matrix_product_with_bias,
    aten.baddbmm: _matrix_product_with_bias,
    aten.native_batch_norm: _per_input(2),
    aten._native_batch_norm_legit_no_training: _per_input(2),
    aten.cudnn_batch_norm: _per_input(2),
    aten.native_layer_norm: _per_input(5),
    aten.upsample_bilinear2d: _per_output(4),
    aten.upsample_nearest2d: _per_output(1),
    aten._adaptive_avg_pool2d: _per_input(1),
    aten.mean: _mean,
}


# Operators whose output has the shape of their first input. Shapes alone need not run them, and most of the time that
# shapes take goes into these.
SAME_SHAPE = {
    aten.relu,
    aten.relu_,
    aten.hardtanh,
    aten.hardtanh_,
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
}


def _without_running(func: Any, args: tuple[Any, ...]) -> Any:
    """What an operator gives on tensors without data, or None where it has to be asked."""
    if func.overloadpacket not in SAME_SHAPE or not args[0].is_meta:
        return None
    tensors = len(func._schema.returns)
    return args[0] if tensors == 1 else (args[0],) * tensors


class FlopCounter(TorchDispatchMode):
    """Counts every operator that runs inside ``with FlopCounter() as counter``.

    Attributes:
        total: multiply-adds so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and add its cost."""
        out = _without_running(func, args)
        if out is None:
            out = func(*args, **(kwargs or {}))
        rule = RULES.get(func.overloadpacket)
        if rule is not None:
            self.total += rule(args, out[0] if isinstance(out, tuple) else out)
        return out


def count_flops(model: Segmenter, imgsz: tuple[int, int]) -> int:
    """Multiply-adds of one image in evaluation mode, with the resize of the logits to the image's size.

    Only shapes are computed: it takes a fraction of a second for any size, and changes nothing in the model.

    Args:
        model: on any device; its auxiliary head does not run.
        imgsz: height and width in pixels.
    """
    height, width = imgsz
    state = {
        name: torch.empty_like(tensor, device="meta")
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
    }
    image = torch.empty(1, 3, height, width, device="meta")
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), FlopCounter() as counter:
            logits = functional_call(model, state, (image,)).logits
            model.upsample(logits, imgsz)
    finally:
        for module, training in modes.items():
            module.training = training
    return counter.total


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of parameters.

    Attributes:
        total: with the auxiliary head, as papers count.
        deployed: without it.
        folded: without it, and with every batch normalisation folded into the convolution before: its bias alone is
            left, as in a graph that a runtime has optimised.
    """

    total: int
    deployed: int
    folded: int


def count_parameters(model: Segmenter) -> ParameterCount:
    """Count a network's parameters, with and without its auxiliary head and its normalisations."""
    auxiliary = set() if model.auxiliary_head is None else set(model.auxiliary_head.modules())
    total = deployed = scales = 0
    for module in model.modules():
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        total += own
        if module not in auxiliary:
            deployed += own
            scales += module.num_features if isinstance(module, nn.BatchNorm2d) else 0
    return ParameterCount(total, deployed, deployed - scales)
