from __future__ import annotations

import torch

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
