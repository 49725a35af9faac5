from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import hint
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import from_recipe, golden

GOLDEN = golden("extras")


class TestHint(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return hint(s, t)


class TestMasked(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return hint(s, t, mask=mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    case = GOLDEN.case("FitNet")
    adapted = F.conv2d(s, torch.from_numpy(from_recipe(case["adapter"])).to(dtype))
    GOLDEN.check(case, hint(adapted, t), s)


def test_by_hand() -> None:
    s = torch.tensor([[[[1.0, 2.0]], [[0.0, 4.0]]]], requires_grad=True)
    t = torch.tensor([[[[0.0, 2.0]], [[3.0, 0.0]]]])
    loss = hint(s, t)
    assert loss.item() == (1 + 0 + 9 + 16) / 4
    assert hint(s, t, mask=torch.tensor([[[True, False]]])).item() == (1 + 9) / 2
    loss.backward()
    assert s.grad is not None
    assert s.grad.flatten().tolist() == [0.5, 0.0, -1.5, 2.0]


def test_everything_masked_is_zero_with_zero_gradient() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    loss = hint(s, t, mask=torch.zeros(2, 32, 32, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert s.grad is not None and not s.grad.any()


def test_mask_of_another_shape() -> None:
    s, t = GOLDEN.pair("logits_s", "logits_t", torch.float32)
    with pytest.raises(SegkdError, match="the mask must be bool of shape"):
        hint(s, t, mask=torch.ones(2, 16, 16, dtype=torch.bool))
