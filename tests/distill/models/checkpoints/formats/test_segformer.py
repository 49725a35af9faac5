from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd_distill.models.checkpoints.formats import detect
from segkd_distill.models.checkpoints.formats.base import IMAGENET
from segkd_distill.models.checkpoints.formats.segformer import split_keys_and_values
from tests.distill.models.checkpoints.formats import foreign
from tests.distill.models.checkpoints.formats.base import check_network


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("transformers5-segformer-b0", "transformers 5"),
        ("transformers4-segformer-b0", "transformers 4"),
        # Its layer normalisations add 1e-6 where these add 1e-5: 2.5e-6 of the outputs.
        ("cirkd-segformer-b0", "CIRKD SegFormer"),
    ],
)
def test_networks(name: str, format_name: str, tmp_path: Path) -> None:
    check_network(name, "segformer-b0", format_name, tmp_path)


def test_keys_and_values_are_split() -> None:
    kv = torch.arange(4.0).view(4, 1)
    split = split_keys_and_values({"block1.0.attn.kv.weight": kv, "backbone.norm1.bias": kv})
    assert split["block1.0.attn.k.weight"].flatten().tolist() == [0.0, 1.0]
    assert split["block1.0.attn.v.weight"].flatten().tolist() == [2.0, 3.0]
    assert split["norm1.bias"] is kv


def test_nvlabs_network_and_encoder() -> None:
    """NVlabs' names are CIRKD's with prefixes, and its fusing convolution has no bias."""
    cirkd = foreign.state_dict("cirkd-segformer-b0")
    encoder = {name: value for name, value in cirkd.items() if not name.startswith("linear_")}
    head = {
        "decode_head." + name.replace("linear_fuse.0", "linear_fuse.conv").replace("linear_fuse.1", "linear_fuse.bn"): v
        for name, v in cirkd.items()
        if name.startswith("linear_") and name != "linear_fuse.0.bias"
    }
    network = {f"backbone.{name}": value for name, value in encoder.items()} | head
    unused = {"decode_head.conv_seg.weight": torch.zeros(19, 256, 1, 1), "decode_head.conv_seg.bias": torch.zeros(19)}
    whole, alone = detect({**network, **unused}), detect({**encoder, "head.weight": torch.zeros(9, 256)})
    assert whole is not None and whole.name == "NVlabs SegFormer"
    assert alone is not None and alone.name == "NVlabs SegFormer backbone"
    of_cirkd, of_nvlabs = detect(cirkd), whole.translate({**network, **unused})
    assert of_cirkd is not None
    expected = of_cirkd.translate(cirkd).tensors
    assert set(of_nvlabs.tensors) == set(expected)
    assert set(of_nvlabs.dropped) == set(unused) and of_nvlabs.normalisation == IMAGENET
    assert torch.equal(of_nvlabs.tensors["decode_head.conv_seg.weight"], cirkd["linear_pred.weight"])
    bare = alone.translate(encoder).tensors
    assert set(bare) == {name for name in expected if name.startswith("backbone.")}


def test_the_bias_that_cirkd_adds_is_taken_off_the_mean() -> None:
    cirkd = foreign.state_dict("cirkd-segformer-b0")
    format_ = detect(cirkd)
    assert format_ is not None
    found = format_.translate(cirkd).tensors
    expected = cirkd["linear_fuse.1.running_mean"] - cirkd["linear_fuse.0.bias"]
    assert torch.equal(found["decode_head.batch_norm.running_mean"], expected)
    assert "decode_head.linear_fuse.bias" not in found
