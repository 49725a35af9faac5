from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import channel_wise, semantic_boundary
from segkd_distill.losses.semantic_boundary import boundary_map
from tests.distill.losses.base import BaseLossTester


def map_of_loops(features: Tensor, mask: Tensor) -> Tensor:
    """The definition, pixel by pixel; (N, h, w)."""
    images, _, height, width = features.shape
    made = torch.ones(images, height, width, dtype=features.dtype)
    for n in range(images):
        for y in range(height):
            for x in range(width):
                cells = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
                near = [(i, j) for i, j in cells if 0 <= i < height and 0 <= j < width and mask[n, i, j]]
                if mask[n, y, x] and near:
                    own = features[n, :, y, x]
                    made[n, y, x] -= sum(F.cosine_similarity(own, features[n, :, i, j], 0) for i, j in near) / len(near)
    return made


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestSemanticBoundary(BaseLossTester):
    teacher_shape = (2, 7, 4, 6)
    same_shape = False
    atol_at_identity = 1e-15

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return semantic_boundary([s, s[:, :2]], [t, t[:, :2]])


class TestOtherGrid(TestSemanticBoundary):
    teacher_shape = (2, 7, 3, 2)

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 5 > 0
        return semantic_boundary([s], [t], masks=[mask])


class TestDistributions(TestSemanticBoundary):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return semantic_boundary([s, s[:, :2]], [t, t[:, :2]], temperature=0.5)


def test_map_equals_the_definition() -> None:
    features = random(0, 2, 3, 4, 5)
    everywhere = torch.ones(2, 4, 5, dtype=torch.bool)
    torch.testing.assert_close(boundary_map(features), map_of_loops(features, everywhere), rtol=1e-12, atol=1e-12)
    mask = random(1, 2, 4, 5) > 0
    torch.testing.assert_close(boundary_map(features, mask), map_of_loops(features, mask), rtol=1e-12, atol=1e-12)


def test_map_by_hand() -> None:
    # Two regions with orthogonal features: beside the line, three of eight neighbours differ, two of five at the top.
    features = torch.zeros(1, 2, 4, 4)
    features[0, 0, :, :2], features[0, 1, :, 2:] = 5.0, 0.1
    at_edge, at_border = 3 / 8, 2 / 5
    expected = torch.tensor([[0, at_border, at_border, 0], [0, at_edge, at_edge, 0]]).repeat(2, 1)
    torch.testing.assert_close(boundary_map(features)[0], expected[[0, 1, 3, 2]], rtol=0, atol=1e-6)
    torch.testing.assert_close(boundary_map(-features), boundary_map(features))
    assert boundary_map(torch.ones(1, 2, 1, 1)).item() == pytest.approx(1)


def test_stages_by_hand() -> None:
    flat = torch.ones(1, 3, 1, 2)
    crossed = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    opposite = torch.tensor([[[[1.0, -1.0]]]])
    # Maps: flat 0, crossed 1, opposite 2 at both positions.
    assert semantic_boundary([flat], [crossed]).item() == pytest.approx(1)
    assert semantic_boundary([flat, crossed], [opposite, crossed]).item() == pytest.approx((4 + 0) / 2)
    steep = torch.tensor([[[[1.0, 1.0, -1.0]]]])
    level = torch.ones(1, 1, 1, 3)
    # Maps of (0, 1, 2): its mean square difference to 0, and as a distribution.
    assert semantic_boundary([level], [steep]).item() == pytest.approx(5 / 3)
    odds = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 1, 3)
    expected = channel_wise(torch.zeros_like(odds), odds, temperature=0.5)
    torch.testing.assert_close(semantic_boundary([level], [steep], temperature=0.5), expected)


def test_teacher_on_another_grid() -> None:
    s, t = random(2, 2, 3, 6, 8), random(3, 2, 5, 3, 4)
    of_t = F.interpolate(boundary_map(t)[:, None], size=(6, 8), mode="bilinear", align_corners=False)[:, 0]
    expected = (boundary_map(s) - of_t).square().mean()
    torch.testing.assert_close(semantic_boundary([s], [t]), expected, rtol=1e-12, atol=0)
    everywhere = torch.ones(2, 6, 8, dtype=torch.bool)
    torch.testing.assert_close(semantic_boundary([s], [t], masks=[everywhere]), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("temperature", [None, 0.5])
@pytest.mark.parametrize("grid", [(6, 8), (3, 4)])
def test_masked_positions_do_not_matter(grid: tuple[int, int], temperature: float | None) -> None:
    s, t = random(4, 2, 3, 6, 8).requires_grad_(), random(5, 2, 5, *grid)
    mask = torch.ones(2, 6, 8, dtype=torch.bool)
    mask[0, 2:, :4] = mask[1, :, 6:] = False
    coarse = F.interpolate(mask[:, None].float(), size=grid)[:, 0] > 0
    loss = semantic_boundary([s], [t], temperature=temperature, masks=[mask])
    other = [torch.where(m[:, None], x.detach(), x.detach() + 1) for x, m in ((s, mask), (t, coarse))]
    torch.testing.assert_close(
        semantic_boundary(other[:1], other[1:], temperature=temperature, masks=[mask]), loss, rtol=1e-12, atol=0
    )
    loss.backward()
    assert s.grad is not None and s.grad.any() and not s.grad.movedim(1, -1)[~mask].any()
    nothing = semantic_boundary([s], [t], temperature=temperature, masks=[torch.zeros_like(mask)])
    assert nothing.item() == 0


def test_zero_features_have_finite_gradients() -> None:
    s = torch.zeros(1, 3, 4, 4, requires_grad=True)
    loss = semantic_boundary([s], [torch.ones(1, 3, 4, 4)])
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert s.grad is not None and not s.grad.any()


def test_loss_falls_when_boundaries_agree() -> None:
    # Same boundary, other features and widths.
    wide = torch.zeros(1, 4, 4, 8)
    wide[0, 3, :, :5], wide[0, 1, :, 5:] = 2.0, 7.0
    here, there = torch.zeros(1, 2, 4, 8), torch.zeros(1, 2, 4, 8)
    here[0, 0, :, :5], here[0, 1, :, 5:] = 1.0, 1.0
    there[0, 0, :, :2], there[0, 1, :, 2:] = 1.0, 1.0
    assert semantic_boundary([here], [wide]).item() == pytest.approx(0, abs=1e-12)
    assert semantic_boundary([there], [wide]).item() > 0.01
    assert not math.isnan(semantic_boundary([there], [wide], temperature=0.1).item())


def test_bad_input() -> None:
    x = torch.zeros(2, 3, 4, 4)
    with pytest.raises(SegkdError, match="got 1 student's, 2 teacher's and no masks"):
        semantic_boundary([x], [x, x])
    with pytest.raises(SegkdError, match="got 0 student's"):
        semantic_boundary([], [])
    with pytest.raises(SegkdError, match="got 1 student's, 1 teacher's and 2 masks"):
        semantic_boundary([x], [x], masks=[x[:, 0] > 0] * 2)
    with pytest.raises(SegkdError, match=r"stage 1 must be \(N, C, h, w\) of the same images"):
        semantic_boundary([x, x], [x, x[:1]])
    with pytest.raises(SegkdError, match="the mask must be bool"):
        semantic_boundary([x], [x], masks=[x[:, 0]])
    with pytest.raises(SegkdError, match="a temperature above 0"):
        semantic_boundary([x], [x], temperature=0.0)
