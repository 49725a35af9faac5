"""Models as transformers saves them, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_normalize": True}
SMALL: dict[str, Any] = {
    "depths": [1, 1, 2, 1],
    "hidden_sizes": [8, 16, 24, 32],
    "num_attention_heads": [1, 2, 3, 4],
    "decoder_hidden_size": 16,
}


def save_segformer(
    folder: Path, names: tuple[str, ...], seed: int = 0, preprocessor: Any = IMAGENET, **size: Any
) -> Any:
    """A SegFormer with these classes; returns transformers' own network, in evaluation mode."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(seed)
    config = SegformerConfig(**(size or SMALL), id2label=dict(enumerate(names)), num_labels=len(names))
    model = SegformerForSemanticSegmentation(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_var", "batch_norm.weight", "layer_norm.weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            tensor.uniform_(-0.2, 0.2, generator=generator)
    model.save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model


def save_mobilenet(folder: Path, classes: int, preprocessor: Any = IMAGENET) -> Any:
    """A small semantic segmentation model that is no SegFormer."""
    from transformers import MobileNetV2Config, MobileNetV2ForSemanticSegmentation

    torch.manual_seed(0)
    config = MobileNetV2Config(depth_multiplier=0.25, min_depth=4, num_labels=classes, output_stride=16)
    model = MobileNetV2ForSemanticSegmentation(config).eval()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model
