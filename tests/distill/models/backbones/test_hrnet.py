from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.backbones.hrnet import HRModule, HRNet
from segkd_distill.models.zoo import MODELS, ModelConfig
from tests.distill.models.base import BaseModelTester

SMALL = {"width": 4, "stem": 8, "stage1_width": 4, "stage1_blocks": 1, "modules": (1, 1, 2), "blocks": 1}


class TestHRNet(BaseModelTester):
    config = ModelConfig("small", "hrnet", "fcn", SMALL, {"inputs": ("c1", "c2", "c3", "c4"), "kernel_size": 1})


def test_published_backbones() -> None:
    with torch.device("meta"):
        small = HRNet(**MODELS["hrnet-w18s"].backbone_options)  # type: ignore[arg-type]
        large = HRNet(**MODELS["hrnet-w48"].backbone_options)  # type: ignore[arg-type]
    assert (small.widths, small.strides) == ((18, 36, 72, 144), (4, 8, 16, 32))
    assert large.widths == (48, 96, 192, 384)
    assert [round(sum(p.numel() for p in net.parameters()) / 1e6, 3) for net in (small, large)] == [3.861, 65.325]


def test_names_are_those_of_mmsegmentation() -> None:
    with torch.device("meta"):
        state = HRNet(**MODELS["hrnet-w18s"].backbone_options).state_dict()  # type: ignore[arg-type]
    expected = {
        "conv1.weight": (64, 3, 3, 3),
        "bn2.bias": (64,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.1.conv3.weight": (256, 64, 1, 1),
        "transition1.0.0.weight": (18, 256, 3, 3),
        "transition1.1.0.0.weight": (36, 256, 3, 3),
        "transition3.3.0.1.weight": (144,),
        "stage2.0.branches.1.1.conv2.weight": (36, 36, 3, 3),
        "stage3.2.fuse_layers.0.2.0.weight": (18, 72, 1, 1),
        "stage3.0.fuse_layers.2.0.0.0.weight": (18, 18, 3, 3),
        "stage4.1.fuse_layers.3.0.2.0.weight": (144, 18, 3, 3),
        "stage4.1.fuse_layers.3.2.0.1.running_var": (144,),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert not [name for name in state if name.startswith(("transition2.0.", "transition2.1.", "transition3.2."))]


def test_branches_exchange_in_both_directions() -> None:
    """Each output of a module depends on each input; a branch's own input passes straight."""
    torch.manual_seed(0)
    module = HRModule((4, 8, 16), 1).eval()
    inputs = [torch.randn(1, w, s, s) for w, s in ((4, 12), (8, 6), (16, 3))]
    before = module(list(inputs))
    for changed in range(3):
        other = list(inputs)
        other[changed] = torch.randn_like(inputs[changed])
        after = module(other)
        assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [False] * 3
    assert [x.shape for x in before] == [x.shape for x in inputs]


def test_coarse_branches_grow_by_their_factor_and_then_meet_the_odd_size() -> None:
    """5 cells become 10, and those become 9: not the same as 5 to 9 at once."""
    module = HRModule((1, 1), 0).eval()
    with torch.no_grad():
        module.fuse_layers[0][1][0].weight.fill_(1.0)
    coarse = torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0]).view(1, 1, 1, 5).expand(1, 1, 5, 5)
    found = module.before_relu([torch.zeros(1, 1, 9, 9), coarse], 0) * (1 + 1e-5) ** 0.5
    doubled = F.interpolate(coarse, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(found, F.interpolate(doubled, size=(9, 9), mode="bilinear"))
    assert not torch.allclose(found, F.interpolate(coarse, size=(9, 9), mode="bilinear"), atol=1e-2)


def test_last_branch_before_its_relu() -> None:
    torch.manual_seed(0)
    features = HRNet(**SMALL).eval()(torch.randn(1, 3, 64, 96))  # type: ignore[arg-type]
    assert (features.c4_pre < 0).any()
    assert torch.equal(features.c4, F.relu(features.c4_pre))


def test_bad_options() -> None:
    with pytest.raises(SegkdError, match="an HRNet has 3 stages of modules, modules gives 2 values"):
        HRNet(modules=(1, 1))
