from __future__ import annotations

import torch
from torch.nn import functional as F

from segkd_distill.models.heads.deeplabv3plus import DeepLabV3PlusHead
from segkd_distill.models.zoo import ModelConfig
from tests.distill.models.base import BaseModelTester
from tests.distill.models.heads.test_psp import Widths, features


class TestDeepLabV3Plus(BaseModelTester):
    config = ModelConfig(
        "small",
        "resnetv1c",
        "deeplabv3plus",
        {"depth": 18, "base_width": 8},
        {"channels": 8, "c1_channels": 4},
        auxiliary_channels=8,
    )


def head(**options: object) -> DeepLabV3PlusHead:
    torch.manual_seed(1)
    return DeepLabV3PlusHead(Widths(), 7, channels=4, c1_channels=2, **options).eval()  # type: ignore[arg-type]


def test_logits_are_on_the_grid_of_the_first_stage() -> None:
    built = head()
    output = built(features())
    assert output.logits.shape == (2, 7, 10, 18)
    assert output.context.shape == (2, 4, 2, 3)
    assert output.decoder.shape == (2, 4, 10, 18)
    assert built.tap_strides == {"context": 32, "decoder": 4, "logits": 4}
    torch.testing.assert_close(built.conv_seg(output.decoder), output.logits)


def test_decoder_reads_the_context_then_the_fine_features() -> None:
    built, seen = head(dilations=(1, 2)), []
    built.sep_bottleneck.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    output = built(features())
    assert seen[0].shape == (2, 4 + 2, 10, 18)
    coarse = F.interpolate(output.context, size=(10, 18), mode="bilinear", align_corners=False)
    assert torch.equal(seen[0][:, :4], coarse)
    assert torch.equal(seen[0][:, 4:], built.c1_bottleneck(features().c1))


def test_options_of_small_networks() -> None:
    small = head(dilations=(1,), pool=False, separable=False, decoder_convs=1, bottleneck_kernel=1)
    assert small.image_pool is None
    assert small.bottleneck.conv.weight.shape == (4, 4, 1, 1)
    assert [layer.conv.weight.shape for layer in small.sep_bottleneck] == [(4, 6, 3, 3)]
    assert small(features()).logits.shape == (2, 7, 10, 18)
    dense = head(dilations=(1, 2), separable=False)
    assert dense.aspp_modules[1].conv.weight.shape == (4, 6, 3, 3)
    assert len(dense.sep_bottleneck) == 2


def test_bottleneck_kernel() -> None:
    assert head().bottleneck.conv.weight.shape == (4, 20, 3, 3)
    assert head(dilations=(1, 2), bottleneck_kernel=1).bottleneck.conv.weight.shape == (4, 12, 1, 1)


def test_dropout_between_the_convolutions_leaves_their_numbers() -> None:
    """AttnFD's head: half of all values are dropped behind the bottleneck and between the two convolutions."""
    built = head(separable=False, bottleneck_kernel=1, pool_last=True, context_dropout=0.5, decoder_dropout=0.5)
    assert [name for name, _ in built.sep_bottleneck.named_children()] == ["0", "dropout1", "1"]
    assert {name.split(".")[1] for name in built.state_dict() if name.startswith("sep_bottleneck")} == {"0", "1"}
    seen: list[torch.Tensor] = []
    for layer in built.sep_bottleneck:
        layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    quiet = built(features())
    assert torch.equal(seen[1], seen[2])
    torch.testing.assert_close(built.sep_bottleneck(seen[0]), quiet.decoder)
    built.context_dropout.train()
    noisy = built(features())
    assert torch.equal(noisy.context, quiet.context)
    assert not torch.equal(noisy.logits, quiet.logits)
