from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from segkd_distill.models.heads.isa import ISAHead, SelfAttention
from segkd_distill.models.zoo import ModelConfig
from tests.distill.models.base import BaseModelTester, check_export
from tests.distill.models.heads.test_psp import Widths, features


class TestISA(BaseModelTester):
    config = ModelConfig(
        "small",
        "resnetv1c",
        "isa",
        {"depth": 18, "base_width": 8},
        {"channels": 8, "key_channels": 4, "window": 4},
        auxiliary_channels=8,
    )

    def test_exported_graph_pads_as_the_network_does(self) -> None:
        check_export(self.trained(), (45, 67))


def head(window: int = 8) -> ISAHead:
    torch.manual_seed(1)
    return ISAHead(Widths(), 7, channels=4, key_channels=2, window=window).eval()


def test_attention_by_hand() -> None:
    """Queries 1, keys x, values x, one key channel: the mean of x weighted by its exponential."""
    attention = SelfAttention(1, 1).eval()
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)
        for layer in attention.query_project:
            layer.conv.weight.fill_(0.0)
            layer.bn.bias.fill_(1.0)
    x = torch.tensor([0.5, 1.0, 2.0]).view(1, 1, 1, 3)
    scale = (1 + 1e-5) ** -0.5
    weights = [math.exp(float(v) * scale**2) for v in x.flatten()]
    expected = sum(w * float(v) for w, v in zip(weights, x.flatten(), strict=True)) / sum(weights) * scale
    assert attention(x).flatten().tolist() == pytest.approx([expected] * 3, rel=1e-5)


def test_scale_is_that_of_the_keys() -> None:
    assert SelfAttention(8, 16).scale == 1 / 4


class Tag(nn.Module):
    """Keeps what it sees, and gives it on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return x


def test_windows_by_hand() -> None:
    """6x4 cells in windows of 2: the first step sees 4 maps of 3x2 cells, the second 6 windows of 2x2."""
    built = head(window=2)
    first, second = Tag(), Tag()
    built.global_relation, built.local_relation = first, second  # type: ignore[assignment]
    x = torch.arange(24.0).view(1, 1, 6, 4)
    assert torch.equal(built._attend(x), x), "every cell comes back to its place"
    assert first.seen is not None and second.seen is not None
    assert torch.equal(first.seen[:, 0], torch.stack([x[0, 0, r::2, c::2] for r in (0, 1) for c in (0, 1)]))
    windows = [x[0, 0, r : r + 2, c : c + 2] for r in (0, 2, 4) for c in (0, 2)]
    assert torch.equal(second.seen[:, 0], torch.stack(windows))


def test_odd_sizes_are_padded_evenly_and_cropped() -> None:
    """5x7 cells in windows of 4: 8x8, with 1 row above and 2 below, no column on the left and 1 on the right."""
    built = head(window=4)
    first = Tag()
    built.global_relation, built.local_relation = first, Tag()  # type: ignore[assignment]
    x = torch.arange(1.0, 36.0).view(1, 1, 5, 7)
    assert torch.equal(built._attend(x), x)
    assert first.seen is not None
    whole = first.seen.view(4, 4, 2, 2).permute(2, 0, 3, 1).reshape(8, 8)
    expected = torch.zeros(8, 8)
    expected[1:6, 0:7] = x[0, 0]
    assert torch.equal(whole, expected)


def test_joins_attention_then_its_input() -> None:
    built, seen = head(), []
    built.out_conv.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    output = built(features())
    assert seen[0].shape == (2, 8, 2, 3)
    assert torch.equal(seen[0][:, 4:], built.in_conv(features().c4))
    assert torch.equal(output.context, output.decoder)
    torch.testing.assert_close(built.conv_seg(output.decoder), output.logits)
    assert built.tap_strides == {"context": 32, "decoder": 32, "logits": 32}


def test_names_are_those_of_mmsegmentation() -> None:
    names = {name.rsplit(".", 1)[0] for name in head().state_dict() if name.endswith("weight")}
    attention = {
        "key_project.0.conv",
        "key_project.0.bn",
        "key_project.1.conv",
        "key_project.1.bn",
        "query_project.0.conv",
        "query_project.0.bn",
        "query_project.1.conv",
        "query_project.1.bn",
        "value_project",
        "output_project.conv",
        "output_project.bn",
    }
    expected = {f"{step}_relation.{name}" for step in ("global", "local") for name in attention}
    assert names == expected | {"in_conv.conv", "in_conv.bn", "out_conv.conv", "out_conv.bn", "conv_seg"}
