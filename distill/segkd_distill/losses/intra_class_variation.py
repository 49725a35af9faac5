"""Intra-class feature variation: how near every pixel's feature is to the centre of its class."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_grids, upcast

COUNT_EPSILON = 1e-6
"""Added to the number of pixels of a class, as the original does."""
SMALLEST_NORM = 1e-8
"""Norms are at least this in the cosine."""


def intra_class_variation(
    s: Tensor, t: Tensor, labels: Tensor, *, num_classes: int, labelled_only: bool = False
) -> Tensor:
    """Mean over pixels of (cos(s_p, centre_s) - cos(t_p, centre_t))^2, the centre being that of the pixel's class.

    Centres are means per image, of the student's and of the teacher's features; the gradient goes through the
    student's. The widths of s and t may differ.

    Source: Wang et al., "Intra-class Feature Variation Distillation for Semantic Segmentation", ECCV 2020;
    YukangWang/IFVD ``utils/criterion.py`` (CriterionIFV) at 950a7a5, and the same in winycg/CIRKD ``losses/ifvd.py`` at
    dab64db.

    Differs from the originals:
        - Sums over classes are products with the one-hot labels, and the gradient has a closed form: no copies of the
          feature per class.
        - Pixels without a class give exactly 0; theirs compare such a pixel with itself, which is 0 up to rounding, but
          1 where the feature is zero in one of the networks.
        - A pixel whose feature is zero gets no gradient through its own direction; theirs is divided by 1e-8.
        - ``labelled_only``.

    Args:
        s: (N, C, h, w) student's feature.
        t: (N, D, h, w) teacher's feature; gets no gradient.
        labels: (N, H, W) integers at any size, brought to (h, w) by nearest neighbour; numbers outside
            0..num_classes-1 are no class.
        num_classes: how many classes there are.
        labelled_only: take the mean over the pixels that have a class. The originals, and the default, take it over
            all pixels; those without a class add nothing and stay in the denominator.

    Returns:
        Scalar: float64 for float64 input, else float32; 0 if no pixel has a class. Differentiable once.

    Raises:
        SegkdError: for grids or numbers of images that differ.
    """
    check_grids(s, t)
    if labels.dim() != 3 or len(labels) != len(s) or labels.is_floating_point():
        raise SegkdError(
            f"labels must be {len(s)} maps (N, H, W) of integers, got {labels.dtype} {tuple(labels.shape)}"
        )
    s = upcast(s)
    members = class_members(labels, num_classes, s.shape[2:], s.dtype)
    pixels = members.sum().clamp(min=1) if labelled_only else members.shape[0] * members.shape[2]
    with torch.autocast(s.device.type, enabled=False):  # the products would be of half precision
        of_teacher = _centre_similarity(t.detach().to(s.dtype).flatten(2), members).value
        distance: Tensor = _VariationDistance.apply(s.flatten(2), of_teacher, members)
    return distance / pixels


def class_members(labels: Tensor, num_classes: int, size: torch.Size, dtype: torch.dtype) -> Tensor:
    """One-hot labels at the feature's size.

    Args:
        labels: (N, H, W) integers.
        num_classes: K.
        size: (h, w).
        dtype: of the result.

    Returns:
        (N, K, h * w) of 0 and 1; a pixel without a class has no 1.
    """
    nearest = F.interpolate(labels[:, None].float(), size=(size[0], size[1]), mode="nearest").flatten(2)
    classes = torch.arange(num_classes, device=labels.device, dtype=nearest.dtype)
    return (nearest == classes.view(1, -1, 1)).to(dtype)


class _CentreSimilarity(NamedTuple):
    """The cosine of every pixel's feature and the centre of its class, with what its gradient needs.

    Attributes:
        value: (N, P), 0 for pixels without a class.
        centres: (N, K, C).
        counts: (N, K, 1) pixels per class, plus ``COUNT_EPSILON``.
        pixel_inverse: (N, P) one over the norm of each pixel's feature, 0 where the norm is.
        centre_inverse: (N, K, 1) the same of the centres.
    """

    value: Tensor
    centres: Tensor
    counts: Tensor
    pixel_inverse: Tensor
    centre_inverse: Tensor


def _centre_similarity(f: Tensor, members: Tensor) -> _CentreSimilarity:
    """For a feature (N, C, P) and one-hot labels (N, K, P)."""
    counts = members.sum(2, keepdim=True) + COUNT_EPSILON
    centres = (members @ f.mT) / counts
    squares = f.new_zeros(f.shape[0], f.shape[2])
    for channels in f.split(128, dim=1):  # in the cache; one sum over all channels writes a copy of the feature
        squares += channels.square().sum(1)
    pixel_inverse = _inverse(squares.sqrt_())
    centre_inverse = _inverse(torch.linalg.vector_norm(centres, dim=2, keepdim=True))
    products = (centres * centre_inverse) @ f
    value = products.mul_(members).sum(1).mul_(pixel_inverse)
    return _CentreSimilarity(value, centres, counts, pixel_inverse, centre_inverse)


def _inverse(norm: Tensor) -> Tensor:
    return norm.clamp(min=SMALLEST_NORM).reciprocal().mul_(norm > SMALLEST_NORM)


class _VariationDistance(torch.autograd.Function):
    """Sum over pixels of (similarity - that of the teacher)^2, the gradient in closed form.

    With m = f.c / (|f| |c|), c the mean over a class's n pixels q, and g = d loss / d m, the gradient d loss / d f_p is
    g_p c / (|f_p| |c|) - g_p m_p f_p / |f_p|^2 + sum_q (g_q f_q / (|f_q| |c|) - g_q m_q c / |c|^2) / n.
    """

    @staticmethod
    def forward(ctx: Any, f: Tensor, of_teacher: Tensor, members: Tensor) -> Tensor:
        own = _centre_similarity(f, members)
        gap = own.value - of_teacher
        ctx.save_for_backward(f, members, gap, *own)
        return gap.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        f, members, gap, *saved = ctx.saved_tensors
        own = _CentreSimilarity(*saved)
        g = gap * (2 * grad)
        direct = members * own.centre_inverse * (g * own.pixel_inverse)[:, None]
        radial = g * own.value
        pull = (members @ radial[:, :, None]) * own.centre_inverse.square()
        of_centre = (direct @ f.mT - pull * own.centres) / own.counts
        slope = torch.cat([own.centres, of_centre], 1).mT @ torch.cat([direct, members], 1)
        return slope.addcmul_(f, (radial * own.pixel_inverse.square())[:, None], value=-1), None, None
