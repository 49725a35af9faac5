"""Channel-wise distillation: one distribution over the positions per channel."""

from __future__ import annotations

import torch
from torch import Tensor

from segkd_distill.losses.checks import check_mask, check_pair, upcast
from segkd_distill.losses.softened_kl import softened_kl


def channel_wise(s: Tensor, t: Tensor, *, temperature: float = 4.0, mask: Tensor | None = None) -> Tensor:
    """T^2 times the mean over images and channels of KL(softmax_hw(t / T) || softmax_hw(s / T)).

    Source: Shu et al., "Channel-wise Knowledge Distillation for Dense Prediction", ICCV 2021; open-mmlab/mmrazor
    ``mmrazor/models/losses/cwd.py`` at 90c7af1 and irfanICMLL/TorchDistiller ``SemSeg-distill/utils/criterion.py`` at
    78bac7c.

    Differs from the originals:
        - ``mask``; without it the values are theirs.
        - log-softmax as mmrazor has it; TorchDistiller and CIRKD take the logarithm of a softmax, which is infinite
          where a probability underflows.

    Args:
        s: (N, C, h, w) student's logits or adapted features.
        t: (N, C, h, w) the teacher's; gets no gradient.
        temperature: T > 0.
        mask: (N, h, w) bool, the positions over which the distributions run; the mean is over the images that have
            such a position, and 0 if there is none.

    Returns:
        Scalar: float64 for float64 input, else float32.

    Raises:
        SegkdError: for shapes that differ, a mask of another shape or a temperature <= 0.
    """
    check_pair(s, t)
    images, channels = s.shape[:2]
    if mask is None:
        total = softened_kl(s.flatten(2), t.flatten(2), dim=2, temperature=temperature)
        return total * (temperature**2 / (images * channels))
    check_mask(mask, s)
    s, t = upcast(s), upcast(t)
    # Finite, so that an image without any valid position has two equal uniform distributions instead of NaN.
    outside, excluded = ~mask[:, None], torch.finfo(torch.float32).min / 2
    s, t = s.masked_fill(outside, excluded), t.masked_fill(outside, excluded)
    total = softened_kl(s.flatten(2), t.flatten(2), dim=2, temperature=temperature)
    return total * (temperature**2 / channels) / mask.flatten(1).any(1).sum().clamp(min=1)
