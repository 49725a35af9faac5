from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segkd_distill.models.checkpoints import read_checkpoint
from segkd_distill.models.checkpoints.formats import detect
from segkd_distill.models.checkpoints.formats.base import IMAGENET
from tests.distill.models.checkpoints.formats import foreign
from tests.distill.models.checkpoints.formats.base import check_network


@pytest.mark.parametrize("name", ["attnfd-deeplabv3plus-r18", "attnfd-deeplabv3plus-mv2"])
def test_networks(name: str, tmp_path: Path) -> None:
    check_network(name, name, "AttnFD", tmp_path)


def test_cbam_and_the_second_copies_of_mobilenetv2_are_left_out() -> None:
    tensors = foreign.state_dict("attnfd-deeplabv3plus-mv2")
    format_ = detect(tensors)
    assert format_ is not None
    dropped = format_.translate(tensors).dropped
    copies = [name for name in tensors if "_level_features." in name]
    assert len(copies) == sum(name.startswith("backbone.features.") for name in tensors)
    assert set(dropped) == {*copies, *(name for name in tensors if "cbam" in name)}


def test_their_files_hold_a_numpy_score(tmp_path: Path) -> None:
    state = foreign.state_dict("attnfd-deeplabv3plus-r18")
    content = {"epoch": 3, "state_dict": state, "best_pred": np.float64(0.7), "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "model_best.pth.tar")
    found = read_checkpoint(tmp_path / "model_best.pth.tar")
    assert (found.format, found.num_classes, found.normalisation) == ("AttnFD", 21, IMAGENET)
