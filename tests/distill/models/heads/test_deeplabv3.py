from __future__ import annotations

import torch
from torch import nn

from segkd_distill.models.heads.deeplabv3 import DeepLabV3Head
from segkd_distill.models.zoo import ModelConfig
from tests.distill.models.base import BaseModelTester
from tests.distill.models.heads.test_psp import Widths, features

PROJECTED = {"bottleneck_kernel": 1, "context_dropout": 0.5, "decoder_convs": 1, "pool_last": True}


class TestDeepLabV3(BaseModelTester):
    config = ModelConfig(
        "small", "resnetv1c", "deeplabv3", {"depth": 18, "base_width": 8}, {"channels": 8}, auxiliary_channels=8
    )


class TestProjected(BaseModelTester):
    """CIRKD's head."""

    config = ModelConfig(
        "small",
        "resnetv1c",
        "deeplabv3",
        {"depth": 18, "base_width": 8},
        {"channels": 8, **PROJECTED},
        auxiliary_channels=8,
        align_corners=True,
        channel_dropout=False,
    )


def head(**options: object) -> DeepLabV3Head:
    torch.manual_seed(1)
    return DeepLabV3Head(Widths(), 7, channels=4, **options).eval()  # type: ignore[arg-type]


def test_one_dense_bottleneck_over_pool_and_branches() -> None:
    built, seen = head(dilations=(1, 2)), []
    built.bottleneck.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    output = built(features())
    assert built.bottleneck.conv.weight.shape == (4, 12, 3, 3)
    x = features().c4
    torch.testing.assert_close(
        seen[0][:, :4], built.image_pool[1](x.mean((2, 3), keepdim=True)).expand(2, 4, *x.shape[2:])
    )
    assert torch.equal(seen[0][:, 8:], built.aspp_modules[1](x))
    assert torch.equal(output.context, output.decoder)
    torch.testing.assert_close(built.conv_seg(output.decoder), output.logits)
    assert built.tap_strides == {"context": 32, "decoder": 32, "logits": 32}


def test_projected_head() -> None:
    built, seen = head(**PROJECTED), []
    built.bottleneck.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    output = built(features())
    assert built.bottleneck.conv.weight.shape == (4, 20, 1, 1)
    assert built.convs[0].conv.weight.shape == (4, 4, 3, 3)
    assert torch.equal(seen[0][:, :4], built.aspp_modules[0](features().c4)), "the pool is last"
    torch.testing.assert_close(built.convs(output.context), output.decoder)


def test_dropout_of_channels_or_of_values() -> None:
    """Between bottleneck and convolution; the tap is before it."""
    for channel_dropout in (True, False):
        built = head(**PROJECTED, channel_dropout=channel_dropout)
        assert isinstance(built.dropout, nn.Dropout2d if channel_dropout else nn.Dropout)
        seen: list[torch.Tensor] = []
        built.convs[0].register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0]))
        built.context_dropout.train()
        context = built(features()).context
        kept = seen[0] != 0
        torch.testing.assert_close(seen[0], context * kept * 2)
        alive = context > 0
        whole = [bool(kept[n, c][alive[n, c]].all() or not kept[n, c].any()) for n in range(2) for c in range(4)]
        assert all(whole) == channel_dropout
