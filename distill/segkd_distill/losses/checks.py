"""What the losses ask of their tensors before they compute with them."""

from __future__ import annotations

import torch
from torch import Tensor

from segkd.errors import SegkdError


def upcast(tensor: Tensor) -> Tensor:
    """Half precisions as float32; float32 and float64 as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def check_pair(s: Tensor, t: Tensor) -> None:
    """Refuse tensors that would otherwise broadcast silently.

    Raises:
        SegkdError: if the shapes differ.
    """
    if s.shape != t.shape:
        raise SegkdError(
            f"student and teacher tensors must have one shape, got {tuple(s.shape)} and {tuple(t.shape)}: "
            "adapt the width, resize the teacher's grid or map its classes first"
        )


def check_grids(s: Tensor, t: Tensor) -> None:
    """Refuse features of other images or of another grid; the widths may differ.

    Raises:
        SegkdError: if they differ.
    """
    if s.dim() != 4 or t.dim() != 4 or s.shape[0] != t.shape[0] or s.shape[2:] != t.shape[2:]:
        raise SegkdError(
            f"student and teacher features must be (N, C, h, w) on one grid, got {tuple(s.shape)} and "
            f"{tuple(t.shape)}: resize the teacher's first"
        )


def check_mask(mask: Tensor | None, s: Tensor) -> None:
    """Refuse a mask, where there is one, that is not (N, h, w) bool for ``s`` of (N, C, h, w).

    Raises:
        SegkdError: if the shape or the dtype is another.
    """
    expected = (s.shape[0], *s.shape[2:])
    if mask is not None and (mask.dtype != torch.bool or tuple(mask.shape) != expected):
        raise SegkdError(f"the mask must be bool of shape {expected}, got {mask.dtype} of {tuple(mask.shape)}")


def check_temperature(temperature: float) -> None:
    """Refuse what no softmax can be divided by, nan included.

    Raises:
        SegkdError: if it is not above 0.
    """
    if not temperature > 0:
        raise SegkdError(f"a temperature above 0 is needed, got {temperature}")
