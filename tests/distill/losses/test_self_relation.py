from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import cross_image_relation, self_relation
from tests.distill.losses.base import BaseLossTester


class TestSelfRelation(BaseLossTester):
    teacher_shape = (2, 7, 4, 6)
    same_shape = False

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return self_relation(s, t)


class TestPooled(TestSelfRelation):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return self_relation(s, t, temperature=0.5, max_nodes=6, mask=mask)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equals_the_cross_image_relation_of_each_image_with_itself() -> None:
    s, t = random(0, 3, 4, 5, 6), random(1, 3, 7, 5, 6)
    each = [cross_image_relation(s[n : n + 1], t[n : n + 1], temperature=0.3) for n in range(3)]
    torch.testing.assert_close(self_relation(s, t, temperature=0.3), torch.stack(each).mean(), rtol=1e-12, atol=0)
    mask = random(2, 1, 5, 6) > 0
    expected = cross_image_relation(s[:1], t[:1], mask=mask)
    torch.testing.assert_close(self_relation(s[:1], t[:1], mask=mask), expected, rtol=1e-12, atol=0)


def test_by_hand() -> None:
    # Two nodes; teacher: alike, rows (1/2, 1/2); student: orthogonal, rows (e / (e + 1), 1 / (e + 1)).
    t = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    s = 3 * torch.eye(2, dtype=torch.float64).view(1, 2, 1, 2)
    like = math.e / (math.e + 1)
    expected = 0.5 * math.log(0.5 / like) + 0.5 * math.log(0.5 / (1 - like))
    assert self_relation(s, t, temperature=1.0).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("max_nodes", "window"), [(24, 1), (23, 2), (6, 2), (5, 3), (4, 3), (2, 4), (1, 6)])
def test_pooling(max_nodes: int, window: int) -> None:
    s, t = random(3, 2, 3, 4, 6), random(4, 2, 5, 4, 6)
    pooled = [F.avg_pool2d(x, window, ceil_mode=True) for x in (s, t)]
    assert pooled[0][0, 0].numel() <= max_nodes
    expected = self_relation(*pooled)
    torch.testing.assert_close(self_relation(s, t, max_nodes=max_nodes), expected, rtol=1e-12, atol=0)


def test_default_keeps_1024_nodes() -> None:
    s, t = random(5, 1, 2, 32, 33), random(6, 1, 2, 32, 33)
    pooled = [F.avg_pool2d(x, 2, ceil_mode=True) for x in (s, t)]
    torch.testing.assert_close(self_relation(s, t), self_relation(*pooled), rtol=1e-12, atol=0)
    cut = s[..., :32], t[..., :32]
    assert self_relation(*cut).item() == self_relation(*cut, max_nodes=10**6).item()


@pytest.mark.parametrize("max_nodes", [1024, 6])
@pytest.mark.parametrize("temperature", [0.1, 50.0])
def test_masked_positions_do_not_matter(temperature: float, max_nodes: int) -> None:
    s, t = random(7, 2, 3, 4, 6).requires_grad_(), random(8, 2, 5, 4, 6)
    mask = torch.ones(2, 4, 6, dtype=torch.bool)
    mask[0, :, 3:] = mask[1, 0] = False
    hyper = {"temperature": temperature, "max_nodes": max_nodes, "mask": mask}
    loss = self_relation(s, t, **hyper)
    other = [torch.where(mask[:, None], x.detach(), x.detach() + 1) for x in (s, t)]
    torch.testing.assert_close(self_relation(*other, **hyper), loss, rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None and s.grad.any() and not s.grad.movedim(1, -1)[~mask].any()
    assert self_relation(s, t, mask=torch.zeros_like(mask)).item() == 0


def test_autocast() -> None:
    s, t = random(9, 2, 3, 4, 6).float(), random(10, 2, 3, 4, 6).float()
    expected = self_relation(s, t)
    with torch.autocast("cpu", torch.bfloat16):
        assert self_relation(s, t).item() == expected.item()


def test_zero_features_have_finite_gradients() -> None:
    s = torch.zeros(1, 3, 4, 4, requires_grad=True)
    self_relation(s, random(11, 1, 3, 4, 4).float()).backward()
    assert s.grad is not None and not s.grad.any()


def test_bad_input() -> None:
    x = torch.zeros(2, 3, 4, 4)
    with pytest.raises(SegkdError, match="on one grid"):
        self_relation(x, x[..., :2])
    with pytest.raises(SegkdError, match="max_nodes must be at least 1, got 0"):
        self_relation(x, x, max_nodes=0)
    with pytest.raises(SegkdError, match="the mask must be bool"):
        self_relation(x, x, mask=x[:, 0])
    with pytest.raises(SegkdError, match="a temperature above 0"):
        self_relation(x, x, temperature=0)
