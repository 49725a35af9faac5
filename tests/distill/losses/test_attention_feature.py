from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import attention_feature
from segkd_distill.losses.cbam import CBAM, parameter_free_cbam
from segkd_distill.losses.connector import Connector
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden, parameters

GOLDEN = golden("attnfd")
LAMBDA = GOLDEN.meta["hyper"]["attn_lambda"]


class Distance(BaseLossTester):
    atol_at_identity = 1e-15  # s / ||s|| and t / ||t|| are rounded in different places


class TestAttentionFeature(Distance):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return attention_feature(s, t)


class TestPerSample(Distance):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return attention_feature(s, t, norm="sample")


class TestMasked(Distance):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return attention_feature(s, t, mask=mask)


def load(module: torch.nn.Module, weights: dict[str, Tensor], prefix: str) -> None:
    """Set the parameters from the manifest entries with a prefix, which are in the same order."""
    chosen = [tensor for name, tensor in weights.items() if name.startswith(prefix)]
    for parameter, tensor in zip(module.parameters(), chosen, strict=True):
        parameter.data = tensor.reshape(parameter.shape)


def refine(x: Tensor, manifest: list[dict[str, Any]], level: int) -> Tensor:
    """CBAM with the official weights, or without any where the channel gate has none."""
    weights = parameters(manifest, x.dtype)
    if not any("ChannelGate" in name for name in weights):
        return parameter_free_cbam(x)
    cbam = CBAM(x.shape[1])
    load(cbam, weights, f"{level}.")
    refined: Tensor = cbam.to(x.dtype)(x)
    return refined


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("mode", ["student", "teacher"])
def test_golden(mode: str, dtype: torch.dtype) -> None:
    case = GOLDEN.case(f"three_levels_teacher_cbam_{mode}_mode")
    students = [torch.from_numpy(x).to(dtype).requires_grad_() for x in GOLDEN.inputs["student"]]
    teachers = [torch.from_numpy(x).to(dtype) for x in GOLDEN.inputs["teacher"]]
    loss = torch.zeros((), dtype=dtype)
    for level, (s, t) in enumerate(zip(students, teachers, strict=True)):
        connector = Connector(s.shape[1], t.shape[1])
        load(connector, parameters(case["connector_manifest"], dtype), f"{level}.")
        refined_s = refine(s, case["student_cbam_manifest"], level)
        refined_t = refine(t, case["teacher_cbam_manifest"], level)
        if mode == "student" and level == 0:
            GOLDEN.check_grad("cbam_out_student_l0", refined_s)
            GOLDEN.check_grad("cbam_out_teacher_l0", refined_t)
        loss = loss + LAMBDA * attention_feature(connector.to(dtype)(refined_s), refined_t)
    GOLDEN.check_loss(case, loss)
    loss.backward()
    for key, s in zip(case["grad_keys"], students, strict=True):
        GOLDEN.check_grad(key, s.grad)


def test_by_hand() -> None:
    s = torch.tensor([3.0, 0.0, 0.0, 4.0], dtype=torch.float64).view(2, 2, 1, 1)
    t = torch.tensor([0.0, 0.0, 0.0, 9.0], dtype=torch.float64).view(2, 2, 1, 1)
    # Over the batch: (0.6, 0, 0, 0.8) against (0, 0, 0, 1).
    assert attention_feature(s, t).item() == pytest.approx((0.6**2 + 0.2**2) / 2, rel=1e-12)
    # Per image: (1, 0) against (0, 0), and (0, 1) against (0, 1).
    assert attention_feature(s, t, norm="sample").item() == pytest.approx(1 / 2, rel=1e-12)
    assert attention_feature(s, -s).item() == pytest.approx(4 / 2, rel=1e-12)
    assert attention_feature(s, -s, norm="sample").item() == pytest.approx(4, rel=1e-12)


def test_scale_does_not_matter() -> None:
    rng = torch.Generator().manual_seed(0)
    s, t = (torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    expected = attention_feature(s, t)
    torch.testing.assert_close(attention_feature(7 * s, 0.1 * t), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("norm", ["batch", "sample"])
def test_gradients_to_both_sides(norm: str) -> None:
    rng = torch.Generator().manual_seed(0)
    s, t = (torch.randn(2, 3, 2, 3, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(2))

    def loss(s: Tensor, t: Tensor) -> Tensor:
        return attention_feature(s, t, norm=norm, teacher_gradient=True)

    assert torch.autograd.gradcheck(loss, (s, t))


@pytest.mark.parametrize("norm", ["batch", "sample"])
def test_zeros(norm: str) -> None:
    zeros, ones = torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2)
    for s, t, expected in ((zeros, ones, 1.0), (ones, zeros, 1.0), (zeros, zeros, 0.0)):
        s = s.clone().requires_grad_()
        loss = attention_feature(s, t, norm=norm)
        loss.backward()
        images = 2 if norm == "batch" else 1
        assert loss.item() == pytest.approx(expected / images, rel=1e-6)
        assert s.grad is not None and s.grad.isfinite().all()


def test_mask_equals_cutting_the_positions_out() -> None:
    rng = torch.Generator().manual_seed(1)
    s, t = (torch.randn(1, 3, 4, 5, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(2))
    mask = torch.rand(1, 4, 5, generator=rng) > 0.4
    kept = [x.movedim(1, -1)[mask].T[None, :, :, None] for x in (s, t)]
    loss = attention_feature(s, t, mask=mask)
    torch.testing.assert_close(loss, attention_feature(kept[0], kept[1]), rtol=1e-12, atol=0)
    loss.backward()
    assert s.grad is not None
    outside = s.grad.movedim(1, -1)[~mask]
    assert len(outside) and not outside.any()
    none = attention_feature(s, t, mask=torch.zeros_like(mask))
    assert none.item() == 0 and not math.isnan(none.item())


def test_unknown_norm() -> None:
    s = torch.zeros(1, 2, 2, 2)
    with pytest.raises(SegkdError, match="unknown norm 'samples'; did you mean 'sample'"):
        attention_feature(s, s, norm="samples")
    with pytest.raises(SegkdError, match="the mask must be bool"):
        attention_feature(s, s, mask=torch.ones(1, 2, 2))
