from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segkd_distill.losses import omni_contrast
from segkd_distill.losses.masked_generator import MaskedGenerator, centre_keep, masked_reconstruction, random_keep
from tests.distill.losses.base import BaseLossTester
from tests.golden_values import golden, parameters

GOLDEN = golden("afdcd")
ROLES = {
    "align": "align",
    "projetor.0": "first",
    "projetor.2": "second",
    "projetor.block_1.0": "first",
    "projetor.block_2.0": "second",
    "projetor.adpator_1": "from_first",
    "projetor.adpator_2": "from_second",
}


def official_weights(case: dict[str, Any], dtype: torch.dtype) -> dict[str, Tensor]:
    """The case's weights under the names of ``MaskedGenerator``."""
    named = {}
    for name, tensor in parameters(case["param_manifest"], dtype).items():
        module, kind = name.rsplit(".", 1)
        named[f"{ROLES[module]}.{kind}"] = tensor
    return named


def inputs_of(case: dict[str, Any], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    prefix = {"b": "b_", "d": "d_"}.get(case["id"][0], "")
    return GOLDEN.pair(f"{prefix}feat_s", f"{prefix}feat_t", dtype)


def mask_noise(case: dict[str, Any], s: Tensor) -> Tensor:
    shape = (len(s), 1, *s.shape[2:])
    return torch.from_numpy(np.random.default_rng(case["hyper"]["mask_noise_seed"]).random(shape).astype(np.float32))


def check_grad(case: dict[str, Any], kind: str, grad: Tensor) -> None:
    """The whole gradient, or its first four channels and its norm."""
    key = f"g_{kind}_{case['id']}"
    if key not in GOLDEN.arrays:
        assert grad.norm().item() == pytest.approx(case["grad_norms"][f"{kind}_l2"], rel=1e-5)
        key, grad = f"{key}_img0_ch0to3", grad[0, :4]
    if kind == "dis" or grad.dtype == torch.float64:
        GOLDEN.check_grad(key, grad)
        return
    # The gradient of an L1 distance is a sum of signs. In float32 a few of two million differences have another sign,
    # and sums that should vanish keep the rounding of their terms, which are about 1e-2 here.
    expected = GOLDEN.arrays[key]
    np.testing.assert_allclose(grad.numpy(), expected, rtol=0, atol=1e-3 * float(np.abs(expected).max()) + 1e-7)


class TestMaskedReconstruction(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        return masked_reconstruction(s, t)


class TestMasked(BaseLossTester):
    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        mask = torch.arange(s[:, 0].numel()).view(s[:, 0].shape) % 3 > 0
        return masked_reconstruction(s, t, mask=mask)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case_id", list(GOLDEN.cases))
def test_golden(case_id: str, dtype: torch.dtype) -> None:
    case = GOLDEN.case(case_id)
    hyper = case["hyper"]
    s, t = inputs_of(case, dtype)
    generator = MaskedGenerator(16, 32, enhanced=hyper["enhance_projector"]).to(dtype)
    generator.load_state_dict(official_weights(case, dtype))
    keep = random_keep(mask_noise(case, s), hyper["mask_ratio"]) if hyper["rand_mask"] else centre_keep(*s.shape[2:])
    generated = generator(s, keep)
    camvid = hyper["dataset"] == "camvid"
    losses = {
        "dis": masked_reconstruction(generated, t),
        "ctr": omni_contrast(
            generated,
            t,
            temperature=hyper["tau"],
            patch=hyper["patch_size"][0],
            groups=hyper["M"],
            pool=0 if camvid else hyper["pool_size"],
            edges="crop" if camvid else "pad",
        ),
    }
    for kind, loss in losses.items():
        GOLDEN.check_loss(case, loss, part=kind)
        (grad,) = torch.autograd.grad(loss, s, retain_graph=True)
        check_grad(case, kind, grad)


@pytest.mark.parametrize("share", [0.25, 0.75])
@pytest.mark.parametrize("enhanced", [False, True])
def test_gradient_to_the_weights(enhanced: bool, share: float) -> None:
    torch.manual_seed(0)
    generator = MaskedGenerator(2, 4, enhanced=enhanced).double()
    s, t = torch.randn(1, 2, 5, 4, dtype=torch.float64), torch.randn(1, 4, 5, 4, dtype=torch.float64)
    keep = torch.rand(1, 1, 5, 4) < share

    def losses(*weights: Tensor) -> Tensor:
        named = dict(zip(dict(generator.named_parameters()), weights, strict=True))
        generated = torch.func.functional_call(generator, named, (s, keep))
        return masked_reconstruction(generated, t) + omni_contrast(generated, t, patch=2, groups=2, pool=0)

    weights = [p.detach().clone().requires_grad_() for p in generator.parameters()]
    assert torch.autograd.gradcheck(losses, weights, eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)


def test_equal_widths_are_not_aligned() -> None:
    assert isinstance(MaskedGenerator(4, 4).align, nn.Identity)
    align = MaskedGenerator(3, 4).align
    assert isinstance(align, nn.Conv2d) and align.bias is not None


def test_dropped_positions_are_not_seen() -> None:
    torch.manual_seed(0)
    generator = MaskedGenerator(3, 4).double()
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    keep = random_keep(torch.rand(2, 1, 6, 6), 0.5)
    elsewhere = torch.where(keep, x, x + 5)
    assert not torch.equal(elsewhere, x)
    assert torch.equal(generator(x, keep), generator(elsewhere, keep))


@pytest.mark.parametrize("widths", [(3, 4), (4, 4)])
@pytest.mark.parametrize("shared", [False, True])
def test_few_kept_positions_give_what_all_give(
    widths: tuple[int, int], shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    generator = MaskedGenerator(*widths).double()
    x = torch.randn(2, widths[0], 6, 5, dtype=torch.float64, requires_grad=True)
    keep = torch.rand(1 if shared else 2, 1, 6, 5) < 0.3
    results = []
    for sparse_up_to in (0.5, -1.0):
        monkeypatch.setattr("segkd_distill.losses.masked_generator.SPARSE_UP_TO", sparse_up_to)
        generated = generator(x, keep)
        results.append((generated, *torch.autograd.grad(generated.square().sum(), (x, *generator.parameters()))))
    for sparse, dense in zip(*results, strict=True):
        assert dense.any()
        torch.testing.assert_close(sparse, dense, rtol=1e-10, atol=1e-12)


def test_masks() -> None:
    noise = torch.tensor([0.0, 0.25, 0.26, 0.9]).view(1, 1, 2, 2)
    assert random_keep(noise, 0.75).flatten().tolist() == [True, True, False, False]
    expected = torch.ones(7, 6, dtype=torch.bool)
    expected[2:4, 2:4] = False
    assert torch.equal(centre_keep(7, 6), expected[None, None])


def test_by_hand() -> None:
    g = torch.tensor([[[[1.0, 2.0]]], [[[0.0, 5.0]]]])
    assert masked_reconstruction(g, torch.zeros_like(g)).item() == (1 + 4 + 25) / 2
    mask = torch.tensor([[[True, False]], [[True, True]]])
    assert masked_reconstruction(g, torch.zeros_like(g), mask=mask).item() == (1 + 25) / 2
