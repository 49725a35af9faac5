from __future__ import annotations

import itertools
import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import omni_contrast
from tests.distill.losses.base import BaseLossTester

SMALL: dict[str, Any] = {"temperature": 2.0, "patch": 2, "groups": 2, "pool": 2}


class Contrast(BaseLossTester):
    shape = (2, 4, 4, 8)
    zero_at_identity = False  # a token's negatives are never infinitely far
    negatives = "other_group"

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return omni_contrast(s, t, negatives=self.negatives, **SMALL)


class TestOmniContrast(Contrast):
    pass


class TestAllNegatives(Contrast):
    negatives = "all"


class TestSpatial(Contrast):
    negatives = "spatial"


class TestChannel(Contrast):
    negatives = "channel"


class TestPadded(Contrast):
    shape = (1, 4, 5, 7)


class TestMasked(Contrast):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 5 > 1
        mask[1, :, :4] = False
        return omni_contrast(s, t, mask=mask, **SMALL)


def naive(
    s: Tensor, t: Tensor, exists: np.ndarray, *, patch: int, groups: int, temperature: float, negatives: str
) -> float:
    """The definition, token by token, on features that are pooled already."""
    images, channels, height, columns = s.shape
    # Behind the channels stands one of zeros, which fills narrower groups up.
    s, t = (F.pad(x, (0, 0, 0, 0, 0, 1)) for x in (s, t))
    parts = [part.tolist() for part in np.array_split(np.arange(channels), groups)]
    group = [part + [channels] * (len(parts[0]) - len(part)) for part in parts]
    total = 0.0
    for image, top, left in itertools.product(range(images), range(0, height, patch), range(0, columns, patch)):
        tokens = [
            (y, x, m)
            for y in range(top, min(top + patch, height))
            for x in range(left, min(left + patch, columns))
            for m in range(groups)
            if exists[image, y, x]
        ]
        for y, x, m in tokens:
            mine = s[image, group[m], y, x]
            scores, positive = [], math.nan
            for v, u, k in tokens:
                score = -(mine - t[image, group[k], v, u]).abs().sum().item() / temperature
                here, same = (v, u) == (y, x), k == m
                if here and same:
                    positive = score
                wanted = {"other_group": not same, "all": True, "spatial": same, "channel": here}[negatives]
                if wanted or (here and same):
                    scores.append(score)
            total += math.log(sum(math.exp(score) for score in scores)) - positive
    return total / max(1, int(exists.sum()))


@pytest.mark.parametrize("negatives", ["other_group", "all", "spatial", "channel"])
@pytest.mark.parametrize("shape", [(2, 6, 4, 2), (1, 4, 3, 5), (1, 5, 2, 4)])
def test_definition(shape: tuple[int, ...], negatives: str) -> None:
    rng = torch.Generator().manual_seed(1)
    s, t = (torch.randn(shape, generator=rng, dtype=torch.float64) for _ in range(2))
    settings: dict[str, Any] = {"patch": 2, "groups": 2, "temperature": 0.7, "negatives": negatives}
    everywhere = np.ones((shape[0], *shape[2:]), bool)
    loss = omni_contrast(s, t, pool=0, **settings)
    assert loss.item() == pytest.approx(naive(s, t, everywhere, **settings), rel=1e-12)
    mask = torch.rand(everywhere.shape, generator=rng) > 0.4
    loss = omni_contrast(s, t, pool=1, mask=mask, **settings)
    assert loss.item() == pytest.approx(naive(s, t, mask.numpy(), **settings), rel=1e-12)


@pytest.mark.parametrize("negatives", ["other_group", "spatial"])
def test_pooling_over_the_mask_and_over_the_edge(negatives: str) -> None:
    rng = torch.Generator().manual_seed(2)
    s, t = (torch.randn(2, 4, 5, 7, generator=rng, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(2, 5, 7, generator=rng) > 0.5
    pooled = []
    for x in (s, t):
        lowest = torch.where(mask[:, None], x, -torch.inf)
        pooled.append(F.max_pool2d(F.pad(lowest, (0, 1, 0, 1), value=-torch.inf), 2))
    exists = pooled[0][:, 0].isfinite().numpy()
    assert 0 < exists.sum() < exists.size
    settings: dict[str, Any] = {"patch": 2, "groups": 2, "temperature": 0.7, "negatives": negatives}
    expected = naive(pooled[0].nan_to_num(), pooled[1].nan_to_num(), exists, **settings)
    assert omni_contrast(s, t, pool=2, mask=mask, **settings).item() == pytest.approx(expected, rel=1e-12)


def test_by_hand() -> None:
    # One position, two groups of one channel: distances to the own and to the other group's token are 1 and 3.
    s = torch.tensor([[[[0.0]], [[0.0]]]], dtype=torch.float64)
    t = torch.tensor([[[[1.0]], [[3.0]]]], dtype=torch.float64)
    loss = omni_contrast(s, t, temperature=2.0, patch=1, groups=2, pool=0)
    first, second = math.log(1 + math.exp((1 - 3) / 2)), math.log(1 + math.exp((3 - 1) / 2))
    assert loss.item() == pytest.approx(first + second, rel=1e-12)


def test_crop_drops_what_is_incomplete() -> None:
    rng = torch.Generator().manual_seed(3)
    s, t = (torch.randn(1, 4, 11, 9, generator=rng, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(1, 11, 9, generator=rng) > 0.5
    settings: dict[str, Any] = {"patch": 2, "groups": 2, "pool": 2}
    for given, cut in ((None, None), (mask, mask[:, :8, :8])):
        expected = omni_contrast(s[..., :8, :8], t[..., :8, :8], mask=cut, **settings)
        assert torch.equal(omni_contrast(s, t, edges="crop", mask=given, **settings), expected)
    with pytest.raises(SegkdError, match="a grid of 3x9 has no whole patch"):
        omni_contrast(s[..., :3, :], t[..., :3, :], edges="crop", **settings)


def test_padding_is_not_cropping() -> None:
    rng = torch.Generator().manual_seed(3)
    s, t = (torch.randn(1, 4, 6, 4, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(2))
    omni_contrast(s, t, patch=4, groups=2, pool=0).backward()
    assert s.grad is not None and (s.grad != 0).any(1).all()


def test_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = []
    for at_once in (2**24, 3 * 64, 1):
        monkeypatch.setattr(sys.modules["segkd_distill.losses.omni_contrast"], "SCORES_AT_ONCE", at_once)
        rng = torch.Generator().manual_seed(4)
        s, t = (torch.randn(2, 4, 7, 12, generator=rng, dtype=torch.float64) for _ in range(2))
        s.requires_grad_()
        loss = omni_contrast(s, t, patch=2, groups=2, pool=0)
        loss.backward()
        assert s.grad is not None
        values.append((loss.detach(), s.grad))
    for loss, grad in values[1:]:
        torch.testing.assert_close(loss, values[0][0], rtol=1e-12, atol=0)
        torch.testing.assert_close(grad, values[0][1], rtol=1e-12, atol=1e-15)


def test_nothing_valid_is_zero() -> None:
    s = torch.randn(1, 4, 4, 4, requires_grad=True)
    loss = omni_contrast(s, s.detach() + 1, patch=2, groups=2, pool=2, mask=torch.zeros(1, 4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and s.grad is not None and not s.grad.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"negatives": "others"}, "unknown value of negatives 'others'"),
        ({"edges": "padded"}, "unknown value of edges 'padded'; did you mean 'pad'"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"groups": 5}, "4 channels cannot be cut into 5 groups"),
        ({"groups": 0}, "groups must be a whole number of at least 1"),
        ({"patch": 2.0}, "patch must be a whole number"),
        ({"pool": -1}, "pool must be a whole number of at least 0"),
        ({"groups": 1}, "no negatives of the kind other_group"),
        ({"patch": 1, "negatives": "spatial"}, "no negatives of the kind spatial"),
        ({"mask": torch.ones(1, 4, 4)}, "the mask must be bool"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    s = torch.zeros(1, 4, 4, 4)
    with pytest.raises(SegkdError, match=message):
        omni_contrast(s, s, **{"groups": 2, "patch": 2, **settings})
