"""What every format must hold: real names and shapes load completely and give the original network's outputs."""

from __future__ import annotations

from pathlib import Path

import torch

from segkd_distill.models.checkpoints import load_backbone_weights, load_weights
from segkd_distill.models.checkpoints.formats import detect
from segkd_distill.models.zoo import ModelConfig, build_model
from tests.distill.models.checkpoints.formats import foreign

TAPS = ("c1", "c2", "c3", "c4")
# The bar of the issue; the references are float64, the networks run in float32 as users run them.
LARGEST_DIFFERENCE = 1e-5


@torch.no_grad()
def check_network(name: str, model_name: str, format_name: str, tmp_path: Path) -> None:
    """A whole network loads completely and gives the outputs that it gave where it came from."""
    torch.save(foreign.state_dict(name), tmp_path / "w.pth")
    model = build_model(model_name, foreign.recorded(name)["logits"]["shape"][1]).eval()
    report = load_weights(model, tmp_path / "w.pth")
    assert report.format == format_name
    assert (report.missing, report.unexpected, report.mismatched) == ((), (), ())
    assert len(report.matched) == len(model.state_dict())
    image = foreign.image()
    outputs = {"logits": model(image).logits}
    if model.auxiliary_head is not None:
        features = model.backbone((image.float() - model.mean) / model.std)
        outputs["aux_logits"] = model.auxiliary_head(features).logits
    assert foreign.largest_difference(name, outputs) < LARGEST_DIFFERENCE
    check_names(name, model_name)


@torch.no_grad()
def check_backbone(
    name: str,
    config: str | ModelConfig,
    format_name: str,
    tmp_path: Path,
    image_px: tuple[int, int] = (foreign.HEIGHT_PX, foreign.WIDTH_PX),
) -> None:
    """A backbone loads completely and gives the features that it gave where it came from."""
    torch.save(foreign.state_dict(name), tmp_path / "w.pth")
    model = build_model(config, 3).eval()
    report = load_backbone_weights(model, tmp_path / "w.pth")
    assert report.format == format_name
    assert (report.missing, report.unexpected, report.mismatched) == ((), (), ())
    assert len(report.matched) == len(model.backbone.state_dict())
    image = foreign.image()[:, :, : image_px[0], : image_px[1]]
    assert foreign.largest_difference(name, model(image, frozenset(TAPS)).taps) < LARGEST_DIFFERENCE
    check_names(name, config)


def check_names(name: str, model: str | ModelConfig) -> None:
    """Every tensor of the file is the network's, or named as left out."""
    tensors = {key: torch.empty(shape, device="meta") for key, shape in foreign.keys(name).items()}
    format_ = detect(tensors)
    assert format_ is not None
    translation = format_.translate(tensors)
    with torch.device("meta"):
        own = build_model(model, 3).state_dict()
    assert [key for key in translation.tensors if key not in own] == []
    split = sum(".kv." in key for key in tensors) - ("linear_fuse.0.bias" in tensors)
    assert len(translation.tensors) + len(translation.dropped) == len(tensors) + split
