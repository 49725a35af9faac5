from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.heads.fcn import FCNHead
from tests.distill.models.heads.test_psp import Widths, features


def test_reads_the_third_stage() -> None:
    torch.manual_seed(0)
    head = FCNHead(Widths(), 7, channels=8).eval()
    head.init_weights()
    output = head(features())
    assert output.logits.shape == (2, 7, 3, 5)
    assert head.tap_strides["logits"] == 16
    changed = features()._replace(c1=features(1).c1, c2=features(1).c2, c4=features(1).c4)
    assert torch.equal(head(changed).logits, output.logits)
    assert not torch.equal(head(features()._replace(c3=features(1).c3)).logits, output.logits)
    torch.testing.assert_close(head.conv_seg(head.convs(features().c3)), output.logits)


def test_several_inputs_are_joined_on_the_grid_of_the_first() -> None:
    """HRNet's head: as wide as its inputs together, one 1x1 convolution."""
    torch.manual_seed(0)
    head, seen = FCNHead(Widths(), 7, inputs=("c1", "c2", "c3", "c4"), kernel_size=1, dropout=0.0).eval(), []
    head.convs.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    output = head(features())
    assert head.convs[0].conv.weight.shape == (18, 18, 1, 1)
    assert (head.tap_channels, head.tap_strides["logits"]) == ({"context": 18, "decoder": 18}, 4)
    assert output.logits.shape == (2, 7, 10, 18)
    assert torch.equal(output.context, output.decoder)
    assert torch.equal(seen[0][:, :3], features().c1)
    resized = F.interpolate(features().c4, size=(10, 18), mode="bilinear", align_corners=False)
    assert torch.equal(seen[0][:, 12:], resized)


def test_unknown_input() -> None:
    with pytest.raises(SegkdError, match="unknown stage 'c5'; known: c1, c2, c3, c4"):
        FCNHead(Widths(), 7, inputs=("c1", "c5"))
