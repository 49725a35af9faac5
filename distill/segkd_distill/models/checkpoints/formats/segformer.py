"""SegFormer: transformers 4.x and 5.x, NVlabs' own, and CIRKD's copy.

Source: transformers 4.x and 5.23 (models/segformer/modeling_segformer.py); NVlabs/SegFormer (mmseg/models/backbones/
mix_transformer.py, decode_heads/segformer_head.py); winycg/CIRKD at 05a2753 (models/segformer.py, the encoder's names
are NVlabs'). open-mmlab's own SegFormer head is another network and does not fit.

CIRKD trains on BGR minus Caffe's means (cirkd.py); its fusing convolution has a bias, which is taken off the mean of
the normalisation behind it: the same sums.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from segkd_distill.models.checkpoints.formats.base import IMAGENET, Format, Rules, Tensors, Translation, has
from segkd_distill.models.checkpoints.formats.cirkd import CAFFE, NOTE

HF5 = Rules(
    [
        (r"segformer\.(stages\..+)", r"backbone.\1"),
        (r"decode_head\.classifier\.(.+)", r"decode_head.conv_seg.\1"),
    ]
)
_BLOCK = r"segformer\.encoder\.block\.(\d)\.(\d+)"
_OURS = r"backbone.stages.\1.blocks.\2"
_PARTS = [
    *(
        (rf"{_BLOCK}\.attention\.self\.{theirs}\.(.+)", rf"{_OURS}.attention.{ours}.\3")
        for theirs, ours in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"))
    ),
    (rf"{_BLOCK}\.attention\.output\.dense\.(.+)", rf"{_OURS}.attention.o_proj.\3"),
    (rf"{_BLOCK}\.attention\.self\.sr\.(.+)", rf"{_OURS}.attention.sequence_reduction.sequence_reduction.\3"),
    (rf"{_BLOCK}\.attention\.self\.layer_norm\.(.+)", rf"{_OURS}.attention.sequence_reduction.layer_norm.\3"),
    (rf"{_BLOCK}\.layer_norm_1\.(.+)", rf"{_OURS}.layernorm_before.\3"),
    (rf"{_BLOCK}\.layer_norm_2\.(.+)", rf"{_OURS}.layernorm_after.\3"),
    (rf"{_BLOCK}\.mlp\.dense1\.(.+)", rf"{_OURS}.mlp.fc1.\3"),
    (rf"{_BLOCK}\.mlp\.dense2\.(.+)", rf"{_OURS}.mlp.fc2.\3"),
    (rf"{_BLOCK}\.mlp\.dwconv\.dwconv\.(.+)", rf"{_OURS}.mlp.dwconv.dwconv.\3"),
]
HF4 = Rules(
    [
        (r"segformer\.encoder\.patch_embeddings\.(\d)\.(.+)", r"backbone.stages.\1.patch_embeddings.\2"),
        (r"segformer\.encoder\.layer_norm\.(\d)\.(.+)", r"backbone.stages.\1.layer_norm.\2"),
        *_PARTS,
        (r"decode_head\.linear_c\.(\d)\.(.+)", r"decode_head.linear_projections.\1.\2"),
        (r"decode_head\.classifier\.(.+)", r"decode_head.conv_seg.\1"),
    ],
    (r"classifier\..+",),
)


def _nvlabs_rules() -> Rules:
    """The encoder's stages are numbered from 1 there; keys and values are one tensor, split before."""
    rules = []
    for stage in range(4):
        block, ours = rf"block{stage + 1}\.(\d+)", rf"backbone.stages.{stage}.blocks.\1"
        rules += [
            (rf"patch_embed{stage + 1}\.proj\.(.+)", rf"backbone.stages.{stage}.patch_embeddings.proj.\1"),
            (rf"patch_embed{stage + 1}\.norm\.(.+)", rf"backbone.stages.{stage}.patch_embeddings.layer_norm.\1"),
            (rf"norm{stage + 1}\.(.+)", rf"backbone.stages.{stage}.layer_norm.\1"),
            (rf"{block}\.norm1\.(.+)", rf"{ours}.layernorm_before.\2"),
            (rf"{block}\.norm2\.(.+)", rf"{ours}.layernorm_after.\2"),
            (rf"{block}\.attn\.([qkv])\.(.+)", rf"{ours}.attention.\2_proj.\3"),
            (rf"{block}\.attn\.proj\.(.+)", rf"{ours}.attention.o_proj.\2"),
            (rf"{block}\.attn\.sr\.(.+)", rf"{ours}.attention.sequence_reduction.sequence_reduction.\2"),
            (rf"{block}\.attn\.norm\.(.+)", rf"{ours}.attention.sequence_reduction.layer_norm.\2"),
            (rf"{block}\.mlp\.(.+)", rf"{ours}.mlp.\2"),
            (rf"(?:decode_head\.)?linear_c{stage + 1}\.proj\.(.+)", rf"decode_head.linear_projections.{stage}.proj.\1"),
        ]
    rules += [
        (r"(?:decode_head\.)?linear_fuse\.(?:0|conv)\.(.+)", r"decode_head.linear_fuse.\1"),
        (r"(?:decode_head\.)?linear_fuse\.(?:1|bn)\.(.+)", r"decode_head.batch_norm.\1"),
        (r"(?:decode_head\.)?linear_pred\.(.+)", r"decode_head.conv_seg.\1"),
    ]
    # NVlabs' head inherits a classifier that it never uses.
    return Rules(rules, (r"head\..+", r"decode_head\.conv_seg\..+"), IMAGENET)


NVLABS = _nvlabs_rules()
PATCH = "backbone.stages.0.patch_embeddings.proj.weight"


def split_keys_and_values(tensors: Tensors) -> dict[str, Tensor]:
    """``kv`` as ``k`` and ``v``, each with half of the rows; the encoder's names without ``backbone.``."""
    split: dict[str, Tensor] = {}
    for full_name, tensor in tensors.items():
        name = full_name.removeprefix("backbone.")
        if ".attn.kv." in name:
            keys, values = tensor.chunk(2)
            split[name.replace(".kv.", ".k.")] = keys
            split[name.replace(".kv.", ".v.")] = values
        else:
            split[name] = tensor
    return split


def _nvlabs(tensors: Tensors) -> Translation:
    return NVLABS.translate(split_keys_and_values(tensors))


def _cirkd(tensors: Tensors) -> Translation:
    found = _nvlabs(tensors)
    ours = dict(found.tensors)
    bias = ours.pop("decode_head.linear_fuse.bias", None)
    mean = "decode_head.batch_norm.running_mean"
    if bias is not None and mean in ours:
        ours[mean] = ours[mean] - bias
    if PATCH in ours:
        ours[PATCH] = ours[PATCH].flip(1)
    return replace(found, tensors=ours, notes=(NOTE,), normalisation=CAFFE)


TRANSFORMERS_5 = Format("transformers 5", lambda tensors: has(tensors, r"segformer\.stages\."), HF5.translate)
TRANSFORMERS_4 = Format("transformers 4", lambda tensors: has(tensors, r"segformer\.encoder\."), HF4.translate)
NVLABS_NETWORK = Format(
    "NVlabs SegFormer", lambda tensors: has(tensors, r"backbone\.patch_embed1\.", r"decode_head\.linear_c4\."), _nvlabs
)
CIRKD = Format("CIRKD SegFormer", lambda tensors: has(tensors, r"patch_embed1\.", r"linear_c4\."), _cirkd)
ENCODER = Format(
    "NVlabs SegFormer backbone", lambda tensors: has(tensors, r"patch_embed1\.", r"block1\.0\.attn\.kv\."), _nvlabs
)
