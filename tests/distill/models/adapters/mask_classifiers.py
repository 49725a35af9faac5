"""Mask classifiers as transformers saves them: small, with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.distill.models.adapters.hugging_face import IMAGENET

EOMT_PX = 32
_SWIN: dict[str, Any] = {
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "window_size": 4,
    "image_size": 64,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
_DECODER: dict[str, Any] = {
    "hidden_dim": 32,
    "encoder_feedforward_dim": 16,
    "dim_feedforward": 16,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "num_attention_heads": 2,
    "num_queries": 6,
}


def _save(folder: Path, model: Any, seed: int = 0) -> Any:
    """Write it, with weights far enough from 0 that queries and pixels differ."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            scale = 1.0 if "class" in name else 0.15
            parameter.data.add_(scale * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGENET))
    return model.eval()


def save_maskformer(folder: Path, classes: int, **names: Any) -> Any:
    from transformers import DetrConfig, MaskFormerConfig, MaskFormerForInstanceSegmentation, SwinConfig

    detr = DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=6,
    )
    torch.manual_seed(0)
    config = MaskFormerConfig(
        fpn_feature_size=32,
        mask_feature_size=32,
        backbone_config=SwinConfig(**_SWIN),
        decoder_config=detr,
        **({"num_labels": classes} | names),
    )
    return _save(folder, MaskFormerForInstanceSegmentation(config))


def save_mask2former(folder: Path, classes: int, **names: Any) -> Any:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    torch.manual_seed(0)
    config = Mask2FormerConfig(
        feature_size=32,
        mask_feature_size=32,
        backbone_config=SwinConfig(**_SWIN),
        **_DECODER,
        **({"num_labels": classes} | names),
    )
    return _save(folder, Mask2FormerForUniversalSegmentation(config))


def save_oneformer(folder: Path, classes: int, **names: Any) -> Any:
    from transformers import OneFormerConfig, OneFormerForUniversalSegmentation, SwinConfig

    torch.manual_seed(0)
    config = OneFormerConfig(
        conv_dim=32,
        mask_dim=32,
        backbone_config=SwinConfig(**_SWIN),
        query_dec_layers=1,
        **_DECODER,
        **({"num_labels": classes} | names),
    )
    return _save(folder, OneFormerForUniversalSegmentation(config), 1)


def save_eomt(folder: Path, classes: int, **names: Any) -> Any:
    from transformers import EomtConfig, EomtForUniversalSegmentation

    torch.manual_seed(0)
    config = EomtConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=EOMT_PX,
        patch_size=8,
        num_upscale_blocks=1,
        num_blocks=2,
        num_queries=6,
        num_register_tokens=1,
        mlp_ratio=2,
        **({"num_labels": classes} | names),
    )
    return _save(folder, EomtForUniversalSegmentation(config))


SAVERS: dict[str, Callable[..., Any]] = {
    "maskformer": save_maskformer,
    "mask2former": save_mask2former,
    "oneformer": save_oneformer,
    "eomt": save_eomt,
}
