"""torchvision's FCN against ours, on the same weights and pixels; torchvision is in `.venv-timm` only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segkd.recipe import StudentSection
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.student import build_student

CLASSES = 5
SIZE_PX = (65, 97)


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """torchvision's ``fcn_resnet50`` with random weights and statistics."""
    from torchvision.models.segmentation import fcn_resnet50

    torch.manual_seed(7)
    model = fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


@pytest.fixture(scope="module")
def ours(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """``torchvision-fcn-r50`` with the weights that torchvision's network saved."""
    path = tmp_path_factory.mktemp("torchvision") / "fcn.pth"
    torch.save(theirs.state_dict(), path)
    student, _ = build_student(StudentSection(model="torchvision-fcn-r50", weights=str(path)), CLASSES)
    return student


def test_logits_are_torchvisions(theirs: nn.Module, ours: Segmenter) -> None:
    image = 255 * torch.rand(2, 3, *SIZE_PX, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = theirs.eval()((image - ours.mean) / ours.std)["out"]
        logits = ours.eval()(image).logits
    assert expected.std() > 0.01
    torch.testing.assert_close(ours.upsample(logits, SIZE_PX), expected, rtol=1e-4, atol=1e-5)


def test_auxiliary_logits_are_torchvisions(theirs: nn.Module, ours: Segmenter) -> None:
    """As in training, but with dropout off and the stored statistics."""
    image = 255 * torch.rand(2, 3, *SIZE_PX, generator=torch.Generator().manual_seed(4))
    for model in (theirs, ours):
        model.train()
        for module in model.modules():
            if isinstance(module, (nn.Dropout, nn.Dropout2d, nn.BatchNorm2d)):
                module.eval()
    with torch.no_grad():
        expected = theirs((image - ours.mean) / ours.std)["aux"]
        auxiliary = ours(image).aux_logits
    assert auxiliary is not None
    upsampled = F.interpolate(auxiliary, SIZE_PX, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsampled, expected, rtol=1e-4, atol=1e-5)


def test_their_names_are_all_taken(theirs: nn.Module, ours: Segmenter) -> None:
    assert len(ours.state_dict()) == len(theirs.state_dict())


def test_a_changed_weight_is_seen(theirs: nn.Module, ours: Segmenter, tmp_path: Path) -> None:
    state = {name: value.clone() for name, value in theirs.state_dict().items()}
    state["backbone.layer4.2.conv2.weight"] *= 1.01
    torch.save(state, tmp_path / "other.pth")
    section = StudentSection(model="torchvision-fcn-r50", weights=str(tmp_path / "other.pth"))
    other, _ = build_student(section, CLASSES)
    image = 255 * torch.rand(1, 3, *SIZE_PX, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        assert not torch.allclose(other.eval()(image).logits, ours.eval()(image).logits, rtol=1e-4, atol=1e-5)
