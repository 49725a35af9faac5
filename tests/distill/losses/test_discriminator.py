from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.discriminator import (
    Discriminator,
    SelfAttention,
    SpectralConv2d,
    generator_loss,
    gradient_penalty,
    hinge_loss,
    wasserstein_loss,
)
from tests.golden_values import LOSS_RTOL, golden, parameters

GOLDEN = golden("skds")
HOLISTIC = GOLDEN.meta["holistic"]
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def official_weights(dtype: torch.dtype) -> dict[str, Tensor]:
    """The recorded weights of the official discriminator under the names of this one."""
    recorded = parameters(HOLISTIC["param_manifest"], dtype)
    named = {f"score.{kind}": recorded[f"last.0.{kind}"] for kind in ("weight", "bias")}
    named |= {f"norm.{kind}": recorded[f"preprocess_additional.{kind}"] for kind in ("weight", "bias")}
    for i in range(4):
        for kind, official in (("weight", "weight_bar"), ("bias", "bias"), ("u", "weight_u")):
            named[f"blocks.{i}.{kind}"] = recorded[f"l{i + 1}.0.module.{official}"]
    for i, gamma in enumerate((0.3, 0.2)):  # "overrides" of the recorded case
        named[f"attentions.{i}.gamma"] = torch.tensor([gamma]).to(dtype)  # recorded with float32's
        for layer in ("query", "key", "value"):
            for kind in ("weight", "bias"):
                named[f"attentions.{i}.{layer}.{kind}"] = recorded[f"attn{i + 1}.{layer}_conv.{kind}"]
    return named


def official(dtype: torch.dtype) -> Discriminator:
    made = Discriminator(7).to(dtype)
    missing, unexpected = made.load_state_dict(official_weights(dtype), strict=False)
    assert not unexpected and all("running" in name or "batches" in name for name in missing)
    return made


def close(value: Tensor, expected: Any, dtype: torch.dtype) -> None:
    """The recorded values are float64's."""
    assert value.dtype == dtype
    np.testing.assert_allclose(value.detach().double().numpy(), expected, rtol=LOSS_RTOL[dtype], atol=0)


@DTYPES
def test_golden_generator(dtype: torch.dtype) -> None:
    s, _ = GOLDEN.pair("logits_s64", "logits_t64", dtype)
    scores = official(dtype)(s)
    assert list(scores.shape) == HOLISTIC["d_out_shape"]
    close(scores.flatten(), HOLISTIC["d_out_student"], dtype)
    loss = generator_loss(scores)
    close(loss, HOLISTIC["G_loss_wgan"], dtype)
    loss.backward()
    assert s.grad is not None
    close(s.grad.abs().sum(), HOLISTIC["grad_abs_sum"], dtype)
    close(s.grad.norm(), HOLISTIC["grad_l2"], dtype)
    GOLDEN.check_grad("g_holistic_logits_crop8", s.grad[..., :8, :8])


@DTYPES
def test_golden_wasserstein(dtype: torch.dtype) -> None:
    # The teacher first; the student with the u of the first pass.
    s, t = GOLDEN.pair("logits_s64", "logits_t64", dtype)
    discriminator = official(dtype)
    real = discriminator(t)
    close(wasserstein_loss(real, discriminator(s)), HOLISTIC["D_loss_wgan_order_T_then_S"], dtype)


@DTYPES
def test_golden_gradient_penalty(dtype: torch.dtype) -> None:
    s, t = GOLDEN.pair("logits_s64", "logits_t64", dtype)
    alpha = torch.from_numpy(np.random.default_rng(405).random((2, 1, 1, 1)))
    penalty = gradient_penalty(official(dtype), t, s, alpha=alpha)
    close(10 * penalty, HOLISTIC["GP_lambda10"], dtype)
    penalty.backward()
    assert s.grad is None


@DTYPES
def test_golden_criteria(dtype: torch.dtype) -> None:
    real, fake = (GOLDEN.tensor(name, dtype) for name in ("d_out_t", "d_out_s"))
    recorded = GOLDEN.meta["adversarial_criteria"]
    close(wasserstein_loss(real, fake), recorded["wgan-gp"]["D"], dtype)
    close(hinge_loss(real, fake), recorded["hinge"]["D"], dtype)
    for name in ("wgan-gp", "hinge"):
        close(generator_loss(fake), recorded[name]["G"], dtype)


def test_criteria_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert hinge_loss(real, fake).item() == (0 + 1) / 2 + (0 + 2) / 2
    assert wasserstein_loss(real, fake).item() == -1 - 1
    assert generator_loss(fake).item() == 1


def test_gradient_penalty_by_hand() -> None:
    # The slope of a 1x1 convolution is its weight at every position: the norm is |weight| * sqrt(6 positions).
    linear = nn.Conv2d(2, 1, 1).double()
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1))
    rng = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 2, 2, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    expected = (5 * 6**0.5 - 1) ** 2
    assert gradient_penalty(linear, real, fake).item() == pytest.approx(expected, rel=1e-12)
    with torch.no_grad():
        linear.weight.zero_()
    penalty = gradient_penalty(linear, real, fake)
    penalty.backward()
    assert penalty.item() == 1
    assert linear.weight.grad is not None and linear.weight.grad.isfinite().all()


def test_gradient_of_the_penalty_to_the_discriminator() -> None:
    torch.manual_seed(1)
    discriminator = Discriminator(2, width=2).double()
    for attention in discriminator.attentions:
        nn.init.constant_(attention.gamma, 0.5)
    real, fake = torch.randn(2, 1, 2, 64, 64, dtype=torch.float64)
    # Not the blocks' weights: u and v count as constants in their gradient.
    names = ("norm.weight", "norm.bias", "blocks.3.bias", "attentions.1.gamma", "attentions.1.query.weight")
    weights = dict(discriminator.named_parameters())

    def penalty(*changed: Tensor) -> Tensor:
        fresh = copy.deepcopy(discriminator)  # with the same u in every call

        class Changed(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                scores: Tensor = functional_call(fresh, dict(zip(names, changed, strict=True)), (x,))
                return scores

        return gradient_penalty(Changed(), real, fake, alpha=[0.3])

    inputs = tuple(weights[name].detach().clone().requires_grad_() for name in names)
    assert torch.autograd.gradcheck(penalty, inputs, eps=1e-6, atol=1e-6, rtol=1e-4)


def test_spectral_norm_converges_to_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    conv = SpectralConv2d(3, 5).double()
    x = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    conv.eval()
    before = conv.u.clone()
    first = conv(x)
    assert not torch.equal(conv.u, before), "one iteration per pass, in evaluation too"
    for _ in range(200):
        out = conv(x)
    assert not torch.equal(out, first)
    largest = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
    expected = F.conv2d(x, conv.weight / largest, conv.bias, 2, 1)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-12)
    assert "u" in conv.state_dict()


def test_gradient_of_spectral_norm() -> None:
    # d(W / s) with s = u'Wv, u and v constant.
    torch.manual_seed(0)
    conv = SpectralConv2d(2, 3).double()
    for _ in range(100):
        conv(torch.zeros(1, 2, 4, 4, dtype=torch.float64))
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    conv(x).square().sum().backward()
    matrix = conv.weight.detach().flatten(1)
    v = F.normalize(matrix.T @ conv.u, dim=0)
    weight = conv.weight.detach().clone().requires_grad_()
    sigma = conv.u @ weight.flatten(1) @ v
    F.conv2d(x, weight / sigma, conv.bias.detach(), 2, 1).square().sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad, rtol=1e-8, atol=1e-10)


def test_attention_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(16)
    x = torch.randn(2, 16, 3, 4)
    assert torch.equal(attention(x), x)
    assert attention.query.weight.shape == (2, 16, 1, 1)


def test_sizes_of_logits() -> None:
    discriminator = Discriminator(3, width=4)
    for size, scores in (((65, 65), (1, 1)), ((64, 128), (1, 5)), ((8, 12), (1, 3)), ((3, 3), (1, 1))):
        logits = torch.randn(2, 3, *size, requires_grad=True)
        out = discriminator(logits)
        assert out.shape == (2, 1, *scores), size
        out.sum().backward()
        assert logits.grad is not None and logits.grad.any()


def test_half_precision_logits_are_scored_in_float32() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, width=4)
    logits = torch.randn(2, 3, 64, 64).bfloat16()
    twin = copy.deepcopy(discriminator)
    with torch.autocast("cpu", torch.bfloat16):
        scores = discriminator(logits)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, twin(logits.float()), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("loss", [hinge_loss, wasserstein_loss])
def test_constant_and_extreme_logits_are_finite(loss: Any) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, width=4)
    zeros, large = torch.zeros(2, 3, 64, 64), 200 * torch.randn(2, 3, 64, 64).sign()
    for real, fake in ((zeros, zeros), (large, zeros), (large, -large)):
        discriminator.zero_grad()
        total = loss(discriminator(real), discriminator(fake)) + gradient_penalty(discriminator, real, fake)
        total.backward()
        assert total.isfinite()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in discriminator.parameters())


def test_bad_input() -> None:
    discriminator = Discriminator(3, width=4)
    real = torch.zeros(2, 3, 64, 64)
    with pytest.raises(SegkdError, match="one shape"):
        gradient_penalty(discriminator, real, real[:1])
    with pytest.raises(SegkdError, match="one alpha per image expected, got 1 for 2"):
        gradient_penalty(discriminator, real, real, alpha=[0.5])
    with pytest.raises(SegkdError, match="discriminator_width must be a whole number of at least 1, got 0"):
        Discriminator(3, width=0)
