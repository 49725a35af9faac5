from __future__ import annotations

import torch

from segkd_distill.models.heads.aspp import aspp_modules, image_pool, run_aspp
from segkd_distill.models.layers import ConvModule, DepthwiseSeparableConv


def test_branch_of_dilation_1_is_pointwise_and_the_others_are_dilated() -> None:
    dense = aspp_modules(6, 4, (1, 2, 4), separable=False)
    assert [branch.conv.kernel_size for branch in dense] == [(1, 1), (3, 3), (3, 3)]
    assert [branch.conv.dilation for branch in dense] == [(1, 1), (2, 2), (4, 4)]
    separable = aspp_modules(6, 4, (1, 12), separable=True)
    assert isinstance(separable[0], ConvModule)
    assert isinstance(separable[1], DepthwiseSeparableConv)
    assert separable[1].depthwise_conv.conv.groups == 6
    assert separable[1].depthwise_conv.conv.dilation == (12, 12)


def test_order_is_pool_then_dilations() -> None:
    torch.manual_seed(0)
    pool, branches = image_pool(6, 4).eval(), aspp_modules(6, 4, (1, 2), separable=True).eval()
    x = torch.randn(2, 6, 5, 7)
    joined = run_aspp(x, pool, branches, align_corners=False)
    assert joined.shape == (2, 12, 5, 7)
    torch.testing.assert_close(joined[:, :4], pool[1](x.mean((2, 3), keepdim=True)).expand(2, 4, 5, 7))
    assert torch.equal(joined[:, 4:8], branches[0](x))
    assert torch.equal(joined[:, 8:], branches[1](x))
    assert torch.equal(run_aspp(x, None, branches, align_corners=False), joined[:, 4:])
    last = run_aspp(x, pool, branches, align_corners=True, pool_last=True)
    assert torch.equal(last[:, :8], joined[:, 4:])
    torch.testing.assert_close(last[:, 8:], joined[:, :4])
