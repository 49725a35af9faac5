from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segkd_distill.models.backbones.base import Backbone, Features
from segkd_distill.models.heads.psp import PSPHead


class Widths(Backbone):
    """Stands for a backbone: widths and strides are all that a head reads."""

    widths = (3, 4, 5, 6)
    strides = (4, 8, 16, 32)


def features(seed: int = 0) -> Features:
    torch.manual_seed(seed)
    c1, c2, c3, c4 = (
        torch.randn(2, w, -(-40 // s), -(-72 // s)) for w, s in zip(Widths.widths, Widths.strides, strict=True)
    )
    return Features(c1, c2, c3, c4, c4)


def head(**options: object) -> PSPHead:
    torch.manual_seed(1)
    built = PSPHead(Widths(), 7, channels=4, **options)  # type: ignore[arg-type]
    built.init_weights()
    return built


def test_grid_and_widths() -> None:
    built = head()
    assert built.tap_channels == {"context": 4, "decoder": 4}
    assert built.tap_strides == {"context": 32, "decoder": 32, "logits": 32}
    assert built.eval()(features()).logits.shape == (2, 7, 2, 3)


def test_bottleneck_reads_the_input_then_the_pools_from_coarse_to_fine() -> None:
    built, seen = head().eval(), []
    built.bottleneck.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    built(features())
    x = features().c4
    assert seen[0].shape == (2, 6 + 4 * 4, 2, 3)
    assert torch.equal(seen[0][:, :6], x)
    whole = built.psp_modules[0][1](x.mean((2, 3), keepdim=True))
    torch.testing.assert_close(seen[0][:, 6:10], whole.expand(2, 4, 2, 3))
    six = built.psp_modules[3]
    assert six[0].cells == 6
    resized = F.interpolate(six(x), size=(2, 3), mode="bilinear", align_corners=False)
    torch.testing.assert_close(seen[0][:, 18:22], resized)


def test_width_of_the_branches() -> None:
    built = head(branch_channels=3).eval()
    assert [branch[1].conv.out_channels for branch in built.psp_modules] == [3, 3, 3, 3]
    assert built.bottleneck.conv.weight.shape == (4, 6 + 4 * 3, 3, 3)
    assert built(features()).logits.shape == (2, 7, 2, 3)


def test_context_is_before_and_decoder_after_dropout() -> None:
    built = head(dropout=0.5)
    quiet = built.eval()(features())
    assert torch.equal(quiet.context, quiet.decoder)
    torch.testing.assert_close(built.conv_seg(quiet.decoder), quiet.logits)
    noisy = built.train()(features())
    kept = (noisy.decoder != 0).any(dim=(2, 3), keepdim=True)
    assert 0 < int(kept.sum()) < kept.numel()
    torch.testing.assert_close(noisy.decoder, noisy.context * kept * 2)
    torch.testing.assert_close(built.conv_seg(noisy.decoder), noisy.logits)


def test_classifier_starts_small() -> None:
    built = head()
    wide = PSPHead(Widths(), 150, channels=64)
    wide.init_weights()
    assert 0.009 < float(wide.conv_seg.weight.detach().std()) < 0.011
    assert float(built.conv_seg.bias.detach().abs().max()) == 0.0


def test_align_corners_changes_the_pools() -> None:
    larger = features()._replace(c4=torch.randn(2, 6, 5, 7))

    def logits(align_corners: bool) -> Tensor:
        return head(align_corners=align_corners, pool_sizes=(2,)).eval()(larger).logits

    assert not torch.allclose(logits(True), logits(False))
