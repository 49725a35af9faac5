from __future__ import annotations

import torch
from torch.nn import functional as F

from segkd_distill.models.backbones.mit import MiT
from segkd_distill.models.heads.segformer import SegformerHead
from tests.distill.models.base import small_image


def test_the_formula() -> None:
    """Project each stage, resize to c1's grid, concatenate coarse to fine, fuse, normalise, ReLU, classify."""
    torch.manual_seed(0)
    backbone = MiT(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), heads=(1, 2, 3, 4)).eval()
    head = SegformerHead(backbone, 5, channels=6).eval()
    head.batch_norm.running_mean.uniform_(-1, 1)
    features = backbone(small_image(torch.float32))
    maps = []
    for projection, x in zip(head.linear_projections, features[:4], strict=True):
        projected = torch.einsum("nchw,kc->nkhw", x, projection.proj.weight) + projection.proj.bias.view(1, -1, 1, 1)
        maps.append(F.interpolate(projected, size=features.c1.shape[2:], mode="bilinear", align_corners=False))
    fused = F.conv2d(torch.cat(maps[::-1], 1), head.linear_fuse.weight)
    context = head.batch_norm(fused).clamp_min(0)
    output = head(features)
    torch.testing.assert_close(output.context, context)
    torch.testing.assert_close(output.decoder, context)
    torch.testing.assert_close(output.logits, head.conv_seg(context))
    assert head.tap_channels == {"context": 6, "decoder": 6}
    assert head.tap_strides == {"context": 4, "decoder": 4, "logits": 4}


def test_dropout_is_between_context_and_decoder() -> None:
    torch.manual_seed(0)
    backbone = MiT(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), heads=(1, 2, 3, 4)).train()
    head = SegformerHead(backbone, 5, channels=64, dropout=0.5).train()
    output = head(backbone(small_image(torch.float32)))
    dropped = (output.decoder == 0).flatten(2).all(2)
    assert dropped.any() and not dropped.all() and not torch.equal(output.context, output.decoder)
