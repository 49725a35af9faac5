from __future__ import annotations

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.pooling import AdaptiveAvgPool
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.graph import DeployGraph, deployable
from tests.export.conftest import ODD_SIZE, random_frames, random_network

CAMERA = CameraFrame(ODD_SIZE)


def test_labels_are_the_argmax_of_the_upsampled_logits() -> None:
    network = random_network(0)
    frames = torch.from_numpy(random_frames(0, 2, ODD_SIZE))
    image = frames.permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = network(image).logits
        labels, low = DeployGraph(network, CAMERA)(frames)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), network.upsample(logits, ODD_SIZE).argmax(1))
    assert torch.equal(low, logits)
    assert len(labels.unique()) >= 3


def test_the_copy_computes_the_same_and_the_original_stays() -> None:
    network = random_network(0)
    copied = deployable(network, ODD_SIZE)
    frames = torch.from_numpy(random_frames(1, 2, ODD_SIZE))
    with torch.no_grad():
        torch.testing.assert_close(
            DeployGraph(copied, CAMERA)(frames)[1], DeployGraph(network, CAMERA)(frames)[1], rtol=0, atol=1e-4
        )
    assert copied.auxiliary_head is None
    assert not any(isinstance(module, AdaptiveAvgPool) for module in copied.modules())
    assert not any(parameter.requires_grad for parameter in copied.parameters())
    assert network.auxiliary_head is not None
    assert sum(isinstance(module, AdaptiveAvgPool) for module in network.modules()) == 4
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_part_in_training_mode_is_refused() -> None:
    network = random_network(0)
    network.backbone.train()
    with pytest.raises(SegkdError, match=r"eval mode, but backbone is in training mode; call \.eval\(\)"):
        deployable(network, ODD_SIZE)
