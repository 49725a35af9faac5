"""Contrast of teacher and student within small patches, across positions and channel groups (Af-DCD)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from segkd.errors import SegkdError, unknown_name
from segkd_distill.losses.checks import check_mask, check_pair, check_temperature, upcast

NEGATIVES = ("other_group", "all", "spatial", "channel")
EDGES = ("pad", "crop")
SCORES_AT_ONCE = 2**24
"""Scores that are held at a time: 64 MiB in float32."""


def omni_contrast(
    s: Tensor,
    t: Tensor,
    *,
    temperature: float = 0.07,
    patch: int = 4,
    groups: int = 16,
    pool: int = 4,
    negatives: str = "other_group",
    edges: str = "pad",
    mask: Tensor | None = None,
) -> Tensor:
    """InfoNCE of the tokens of each patch: a token is one position's vector of one channel group.

    Both features are max-pooled and cut into patches. A student's token is compared with the teacher's tokens of its
    patch; the score is minus their L1 distance over the temperature, the positive is the token of the same position
    and group. The cross-entropies are summed over a position's groups and averaged over positions and images.

    Source: Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation", NeurIPS 2023; OSVAI/Af-DCD
    ``losses/ocmgd.py`` at 5b086a7 (``get_omni_contrastive_loss``).

    Differs from the original:
        - ``negatives``: ``other_group`` is the code's; the paper's figure shows ``all``. ``spatial`` and ``channel``
          are the two halves of the idea, built from the paper's description.
        - ``edges``: the original fails where the grid is no multiple of ``pool * patch``, except on CamVid, where it
          cuts 45x45 down to 44x44 (``edges="crop", pool=0``).
        - ``groups`` need not divide the channels; the original fails there. The groups then differ by one channel.
        - ``mask``; without it the values are the original's.

    Args:
        s: (N, C, h, w) student's feature, at the teacher's width.
        t: (N, C, h, w) the teacher's; gets no gradient.
        temperature: of the scores, > 0.
        patch: side of a patch in pooled positions.
        groups: contiguous channel groups, at most as many as channels; where the number does not divide, the first
            are a channel wider, and the others are compared with these as if they ended in a 0.
        pool: side and stride of the max pooling; 0 or 1 for none.
        negatives: the tokens of the same patch that are not the positive: those of another channel group
            (``other_group``), every one (``all``), those of the same group elsewhere (``spatial``; with ``groups=1``
            whole vectors), or those of another group at the same position (``channel``).
        edges: incomplete pools and patches at the right and bottom: ``pad`` (tokens outside the grid do not exist)
            or ``crop`` (leave them out).
        mask: (N, h, w) bool; other positions take no part in the pooling, and a pool without any is no token. The
            mean is over the pools that are left, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32. Differentiable once.

    Raises:
        SegkdError: for shapes that differ, more groups than channels, a setting out of range or without any negative,
            a grid too small for ``crop``, or a mask of another shape.
    """
    check_pair(s, t)
    check_settings(s.shape[1], patch=patch, groups=groups, pool=pool, negatives=negatives, edges=edges)
    check_temperature(temperature)
    s = upcast(s)
    t = t.detach().to(s.dtype)
    check_mask(mask, s)
    if edges == "crop" and min(s.shape[2:]) < max(pool, 1) * patch:
        raise SegkdError(f"a grid of {s.shape[2]}x{s.shape[3]} has no whole patch to crop: use edges=pad or lower pool")
    s, t, mask = _pooled(s, t, mask, pool, ceil=edges == "pad")
    s, t, mask = _whole_patches(s, t, mask, patch, edges)
    s, t = _equal_groups(s, groups), _equal_groups(t, groups)
    positions = s.shape[0] * s.shape[2] * s.shape[3] if mask is None else mask.sum().clamp(min=1)
    valid = None if mask is None else _tokens(mask[:, None].expand(-1, groups, -1, -1), patch, groups, negatives)
    excluded = _same_group_elsewhere(patch, groups, s.device) if negatives == "other_group" else None
    keys = _Keys(excluded, None if valid is None else valid[..., 0], float(temperature))
    total: Tensor = _InfoNCE.apply(_tokens(s, patch, groups, negatives), _tokens(t, patch, groups, negatives), keys)
    return total / positions


class _Keys(NamedTuple):
    """Which teacher's tokens a student's token is compared with.

    Attributes:
        excluded: (K, K) bool of (query, key) within a set of K tokens, or None.
        valid: (P, K) bool, the tokens that exist, or None for all.
        temperature: of the scores.
    """

    excluded: Tensor | None
    valid: Tensor | None
    temperature: float


class _InfoNCE(torch.autograd.Function):
    """Sum of the cross-entropies, a few sets of tokens at a time, with the gradient computed on the way.

    The scores of all sets would need K / d times the memory of the features.
    """

    @staticmethod
    def forward(ctx: Any, s: Tensor, t: Tensor, keys: _Keys) -> Tensor:
        sets, size = s.shape[:2]
        total = s.new_zeros(())
        slope = torch.empty_like(s) if ctx.needs_input_grad[0] else None
        step = max(1, SCORES_AT_ONCE // size**2)
        for rows in (slice(first, first + step) for first in range(0, sets, step)):
            with torch.enable_grad():
                queries = s[rows].detach().requires_grad_(slope is not None)
                distances = torch.cdist(queries, t[rows], p=1.0)
            loss, to_distances = _cross_entropy(distances.detach(), rows, keys)
            total += loss
            if slope is not None:
                (slope[rows],) = torch.autograd.grad(distances, queries, to_distances)
        if slope is not None:
            ctx.save_for_backward(slope)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grad, None, None


def _cross_entropy(distances: Tensor, rows: slice, keys: _Keys) -> tuple[Tensor, Tensor]:
    """Sum of -log softmax(-distance / T) at the positives, and its gradient to the distances."""
    scores = distances * (-1 / keys.temperature)
    # Finite, so that a row without any key gives a number, which its weight 0 then removes.
    never = torch.finfo(scores.dtype).min / 2
    if keys.excluded is not None:
        scores.masked_fill_(keys.excluded, never)
    if keys.valid is not None:
        scores.masked_fill_(~keys.valid[rows, None], never)
    log_share = scores.log_softmax(2)
    positives = log_share.diagonal(dim1=1, dim2=2)
    weight = None if keys.valid is None else keys.valid[rows].to(scores.dtype)
    loss = -(positives.sum() if weight is None else (positives * weight).sum())
    slope = log_share.exp_()
    slope.diagonal(dim1=1, dim2=2).sub_(1)
    slope.mul_(-1 / keys.temperature)
    return loss, slope if weight is None else slope.mul_(weight[:, :, None])


def _pooled(
    s: Tensor, t: Tensor, mask: Tensor | None, pool: int, *, ceil: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Both features max-pooled over the positions of the mask, and the pools that have any."""
    if pool <= 1:
        return s, t, mask
    if mask is None:
        s, t = (F.max_pool2d(x, pool, ceil_mode=ceil) for x in (s, t))
        return s, t, None
    outside, never = ~mask[:, None], torch.finfo(s.dtype).min
    s, t = (F.max_pool2d(x.masked_fill(outside, never), pool, ceil_mode=ceil) for x in (s, t))
    return s, t, F.max_pool2d(mask[:, None].float(), pool, ceil_mode=ceil)[:, 0] > 0


def _whole_patches(
    s: Tensor, t: Tensor, mask: Tensor | None, patch: int, edges: str
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The grid as a multiple of the patch; positions that do not exist are 0 in both features."""
    height, width = s.shape[-2:]
    below, right = -height % patch, -width % patch
    if edges == "crop":
        rows, columns = height - height % patch, width - width % patch
        s, t = s[..., :rows, :columns], t[..., :rows, :columns]
        mask = None if mask is None else mask[..., :rows, :columns]
    elif below or right:
        if mask is None:
            mask = torch.ones(s.shape[0], height, width, dtype=torch.bool, device=s.device)
        s, t, mask = (F.pad(x, (0, right, 0, below)) for x in (s, t, mask))
    if mask is not None:
        outside = ~mask[:, None]
        s, t = s.masked_fill(outside, 0), t.masked_fill(outside, 0)
    return s, t, mask


def _equal_groups(x: Tensor, groups: int) -> Tensor:
    """Channels of 0 behind the narrower groups, which add nothing to a distance, so that all are as wide."""
    channels = x.shape[1]
    if channels % groups == 0:
        return x
    parts = torch.arange(channels, device=x.device).tensor_split(groups)
    width = len(parts[0])
    source = torch.cat([F.pad(part, (0, width - len(part)), value=channels) for part in parts])
    return F.pad(x, (0, 0, 0, 0, 0, 1)).index_select(1, source)


def _tokens(x: Tensor, patch: int, groups: int, negatives: str) -> Tensor:
    """(N, C, H, W) -> (sets, K, C / groups): the tokens that are compared with each other form a set."""
    images, channels, height, width = x.shape
    grid = x.reshape(images, groups, channels // groups, height // patch, patch, width // patch, patch)
    by_patch = grid.permute(0, 3, 5, 4, 6, 1, 2)  # image, patch row, patch column, row, column, group, channel
    if negatives == "spatial":
        return by_patch.movedim(5, 3).reshape(-1, patch**2, channels // groups)
    if negatives == "channel":
        return by_patch.reshape(-1, groups, channels // groups)
    return by_patch.reshape(-1, patch**2 * groups, channels // groups)


def _same_group_elsewhere(patch: int, groups: int, device: torch.device) -> Tensor:
    """(K, K) bool: the same group at another position of the patch."""
    group = torch.arange(patch**2 * groups, device=device) % groups
    same = group[:, None] == group
    return same.fill_diagonal_(False)


def check_settings(channels: int, *, patch: int, groups: int, pool: int, negatives: str, edges: str) -> None:
    """Refuse settings that :func:`omni_contrast` cannot work with.

    Raises:
        SegkdError: naming the setting.
    """
    for kind, value, known in (("negatives", negatives, NEGATIVES), ("edges", edges, EDGES)):
        if value not in known:
            raise unknown_name(f"value of {kind}", value, known)
    for name, number, least in (("patch", patch, 1), ("groups", groups, 1), ("pool", pool, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise SegkdError(f"{name} must be a whole number of at least {least}, got {number!r}")
    if groups > channels:
        raise SegkdError(f"{channels} channels cannot be cut into {groups} groups: lower groups")
    sizes = {"other_group": groups, "channel": groups, "spatial": patch, "all": groups * patch}
    if sizes[negatives] == 1:
        raise SegkdError(f"with patch={patch} and groups={groups} there are no negatives of the kind {negatives}")
