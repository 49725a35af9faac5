from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segkd_distill.models.catalogue.flops import FlopCounter, ParameterCount, count_flops, count_parameters
from segkd_distill.models.zoo import build_model

# fvcore's FlopCountAnalysis of mmsegmentation 0.26's networks at 512x512 and 150 classes, in G.
FVCORE = {
    "pspnet-r18": 54.532,
    "pspnet-r101": 256.890,
    "deeplabv3plus-r101": 255.670,
    "deeplabv3plus-mv2": 69.601,
    "isanet-r18": 54.331,
    "isanet-r101": 228.211,
}


@pytest.mark.parametrize("name", FVCORE)
def test_equal_to_fvcore(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, 150)
    assert round(count_flops(model, (512, 512)) / 1e9, 3) == FVCORE[name]


def counted(run: object) -> int:
    with torch.no_grad(), FlopCounter() as counter:
        run()  # type: ignore[operator]
    return counter.total


def test_rules_by_hand() -> None:
    x = torch.randn(2, 4, 6, 8)
    assert counted(lambda: F.conv2d(x, torch.randn(3, 4, 3, 3), torch.randn(3), padding=1)) == 2 * 3 * 48 * 4 * 9
    assert counted(lambda: F.conv2d(x, torch.randn(4, 1, 3, 3), stride=2, padding=1, groups=4)) == 2 * 4 * 12 * 9
    assert counted(lambda: F.conv_transpose2d(x, torch.randn(4, 5, 2, 2), stride=2)) == 2 * 48 * 4 * 5 * 4
    assert counted(lambda: torch.randn(5, 7) @ torch.randn(7, 3)) == 5 * 7 * 3
    assert counted(lambda: F.linear(torch.randn(5, 7), torch.randn(3, 7), torch.randn(3))) == 5 * 7 * 3
    assert counted(lambda: torch.bmm(torch.randn(2, 5, 7), torch.randn(2, 7, 3))) == 2 * 5 * 7 * 3
    assert counted(lambda: nn.BatchNorm2d(4).eval()(x)) == 2 * x.numel()
    assert counted(lambda: F.layer_norm(x, (8,))) == 5 * x.numel()
    assert counted(lambda: F.interpolate(x, size=(9, 9), mode="bilinear")) == 4 * 2 * 4 * 81
    assert counted(lambda: F.interpolate(x, size=(9, 9), mode="nearest")) == 2 * 4 * 81
    assert counted(lambda: F.adaptive_avg_pool2d(x, 1)) == x.numel()
    assert counted(lambda: F.adaptive_avg_pool2d(x, 3)) == x.numel()
    assert counted(lambda: F.max_pool2d(F.relu(x + 1), 2).softmax(1).mean(1)) == 0


def test_shapes_alone_count_as_values_do() -> None:
    model = build_model("quickstart-mv2", 3).eval()
    with torch.no_grad(), FlopCounter() as counter:
        model.upsample(model(torch.zeros(1, 3, 45, 67)).logits, (45, 67))
    assert counter.total == count_flops(model, (45, 67)) > 0


def test_model_is_left_as_it_was() -> None:
    model = build_model("quickstart-mv2", 3)
    model.backbone.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert count_flops(model, (64, 64)) * 4 == pytest.approx(count_flops(model, (128, 128)), rel=0.01)
    assert model.training and model.decode_head.training and not model.backbone.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_parameters_with_and_without_the_auxiliary_head() -> None:
    with torch.device("meta"):
        psp, small = build_model("pspnet-r18", 19), build_model("quickstart-mv2", 19)
    assert round(count_parameters(psp).deployed / 1e6, 3) == 12.641
    assert round(count_parameters(psp).total / 1e6, 3) == 12.790
    whole = sum(p.numel() for p in small.parameters())
    scales = sum(tensor.numel() for name, tensor in small.state_dict().items() if name.endswith("running_mean"))
    assert count_parameters(small) == ParameterCount(whole, whole, whole - scales)
