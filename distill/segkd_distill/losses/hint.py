"""FitNets' hint: the plain distance of two features."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from segkd_distill.losses.checks import check_mask, check_pair, upcast


def hint(s: Tensor, t: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Mean over all elements of (s - t)^2.

    Source: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015; on segmentation networks in winycg/CIRKD
    ``losses/fitnet.py`` at dab64db.

    Differs from the original:
        - ``mask``; without it the values are theirs.

    Args:
        s: (N, C, h, w) student's feature, brought to the teacher's width.
        t: (N, C, h, w) teacher's feature; gets no gradient.
        mask: (N, h, w) bool, the positions that count; the mean is over them, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32.

    Raises:
        SegkdError: for shapes that differ or a mask of another shape.
    """
    check_pair(s, t)
    s = upcast(s)
    t = t.detach().to(s.dtype)
    if mask is None:
        return F.mse_loss(s, t)
    check_mask(mask, s)
    difference = (s - t).masked_fill(~mask[:, None], 0)
    return difference.square().sum() / (s.shape[1] * mask.sum().clamp(min=1))
