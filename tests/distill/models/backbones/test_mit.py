from __future__ import annotations

import math

import pytest
import torch

from segkd_distill.models.backbones.mit import Block, EfficientAttention, MiT, to_map, to_tokens
from segkd_distill.models.catalogue.flops import count_flops
from segkd_distill.models.zoo import MODELS, ModelConfig, build_model
from tests.distill.models.base import BaseModelTester, check_export, small_image

SMALL = {"widths": (8, 16, 24, 32), "depths": (1, 2, 1, 1), "heads": (1, 2, 3, 4)}

# Parameters at 19 classes, as transformers 5.23 counts them (and, of B0 and B4, CIRKD's copy).
TOTALS = {
    "segformer-b0": 3_719_027,
    "segformer-b1": 13_682_131,
    "segformer-b2": 27_361_235,
    "segformer-b3": 47_237_075,
    "segformer-b4": 64_007_635,
    "segformer-b5": 84_607_955,
}


class TestSegformer(BaseModelTester):
    config = ModelConfig("small", "mit", "segformer", SMALL, {"channels": 16}, init_weights="torch")

    @pytest.mark.long
    def test_exported_graph_gives_the_same(self) -> None:
        check_export(self.trained(), (45, 67))


class TestSegformerAsPublished(BaseModelTester):
    """Its own initial values, and another head."""

    config = ModelConfig("small", "mit", "psp", SMALL, {"channels": 16}, auxiliary_channels=8)


@pytest.mark.parametrize("name", TOTALS)
def test_published_sizes(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, 19)
    assert sum(p.numel() for p in model.parameters()) == TOTALS[name]
    assert model.tap_info().strides == {"c1": 4, "c2": 8, "c3": 16, "c4": 32, "c4_pre": 32} | dict.fromkeys(
        ("context", "decoder", "logits"), 4
    )
    assert set(TOTALS) == {name for name, config in MODELS.items() if config.backbone == "mit"}


@pytest.mark.parametrize(("name", "flops_g"), [("segformer-b0", 7.93), ("segformer-b4", 94.29)])
def test_flops_are_fvcores(name: str, flops_g: float) -> None:
    """CIRKD's networks at 512x512 by fvcore, which was asked for the logits and not for their resize."""
    with torch.device("meta"):
        model = build_model(name, 19)
    resize = 4 * 19 * 512 * 512
    assert round((count_flops(model, (512, 512)) - resize) / 1e9, 2) == flops_g


def test_tokens_and_maps_are_inverse() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(to_map(to_tokens(x), (4, 5)), x)
    assert torch.equal(to_tokens(x)[1, 7], x[1, :, 1, 2])


def test_attention_by_its_formula() -> None:
    """Softmax of scaled products, head by head, over the coarser grid."""
    torch.manual_seed(0)
    attention = EfficientAttention(8, 2, 2).eval()
    tokens = torch.randn(1, 24, 8)
    coarse = attention.sequence_reduction(tokens, (4, 6))
    assert coarse.shape == (1, 6, 8)
    queries, keys, values = attention.q_proj(tokens), attention.k_proj(coarse), attention.v_proj(coarse)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        weights = (queries[0, :, part] @ keys[0, :, part].T / math.sqrt(4)).softmax(1)
        heads.append(weights @ values[0, :, part])
    expected = attention.o_proj(torch.cat(heads, 1))
    torch.testing.assert_close(attention(tokens, (4, 6))[0], expected)


def test_branches_are_dropped_while_training_only() -> None:
    torch.manual_seed(0)
    block, tokens = Block(8, 2, 1, 4, drop_path=0.5), torch.randn(64, 6, 8)
    whole = block.eval()(tokens, (2, 3))
    assert torch.equal(block(tokens, (2, 3)), whole)
    torch.manual_seed(1)
    trained = block.train()(tokens, (2, 3))
    untouched = (trained == tokens).flatten(1).all(1)
    assert 8 <= int(untouched.sum()) <= 26  # a quarter of 64 drop both branches
    kept = block._dropped(torch.ones(1000, 1, 1))
    assert set(kept.unique().tolist()) == {0.0, 2.0} and 0.85 < kept.mean() < 1.15


def test_drop_rates_rise_from_zero() -> None:
    network = MiT(**SMALL, drop_path=0.2)
    rates = [block.drop_path for stage in network.stages for block in stage.blocks]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


def test_initial_values_of_the_original() -> None:
    torch.manual_seed(0)
    network = build_model("segformer-b0", 5).backbone
    linear = network.get_parameter("stages.3.blocks.1.mlp.fc1.weight")
    depthwise = network.get_parameter("stages.3.blocks.1.mlp.dwconv.dwconv.weight")
    assert linear.std().item() == pytest.approx(0.02, rel=0.02) and linear.abs().max() <= 2
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.03)
    assert not network.get_parameter("stages.0.patch_embeddings.proj.bias").any()


def test_maps_are_normalised_and_in_channels_last_memory() -> None:
    torch.manual_seed(0)
    maps = MiT(**SMALL).eval()(small_image(torch.float32))
    assert maps.c4_pre is maps.c4
    torch.testing.assert_close(maps.c3.mean(1), torch.zeros_like(maps.c3[:, 0]), atol=1e-5, rtol=0)
    assert maps.c1.is_contiguous(memory_format=torch.channels_last)
