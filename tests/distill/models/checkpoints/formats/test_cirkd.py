from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.checkpoints import load_backbone_weights, load_weights
from segkd_distill.models.checkpoints.formats.cirkd import BACKBONE_NOTE, CAFFE, FORMAT, to_rgb
from segkd_distill.models.zoo import build_model
from tests.distill.models.checkpoints.formats import foreign
from tests.distill.models.checkpoints.formats.base import check_network


@pytest.mark.parametrize("name", ["cirkd-deeplabv3-r18", "cirkd-deeplabv3-mv2", "cirkd-pspnet-r18"])
def test_networks(name: str, tmp_path: Path) -> None:
    check_network(name, name, "CIRKD", tmp_path)


def test_bgr_becomes_rgb_with_hand_worked_numbers() -> None:
    # One pixel, weights (b, g, r) = (1, 10, 100): 1 * (7 - 1) + 10 * (5 - 2) + 100 * (4 - 3) = 136.
    weight = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1)
    turned = to_rgb({"backbone.stem.0.weight": weight})["backbone.stem.0.weight"]
    rgb, mean = torch.tensor([4.0, 5.0, 7.0]), torch.tensor([3.0, 2.0, 1.0])
    assert float((turned.flatten() * (rgb - mean)).sum()) == 136.0
    assert to_rgb({"backbone.stem.3.weight": weight})["backbone.stem.3.weight"] is weight


def test_normalisation_follows_the_weights(tmp_path: Path) -> None:
    """A network of this project's defaults, mean and deviation of ImageNet, becomes one of Caffe's means."""
    torch.save(foreign.state_dict("cirkd-deeplabv3-r18"), tmp_path / "kd_deeplabv3_resnet18_citys.pth")
    model = build_model("pspnet-r18", 3)
    model.backbone = build_model("cirkd-deeplabv3-r18", 3).backbone
    report = load_backbone_weights(model, tmp_path / "kd_deeplabv3_resnet18_citys.pth")
    assert report.normalisation == CAFFE
    torch.testing.assert_close(model.mean.flatten(), torch.tensor(CAFFE.mean))
    assert model.std.flatten().tolist() == [1.0, 1.0, 1.0]


def test_the_models_own_means_are_cirkds() -> None:
    model = build_model("cirkd-pspnet-r18", 3)
    torch.testing.assert_close(model.mean.flatten(), torch.tensor(CAFFE.mean))
    assert model.std.flatten().tolist() == [1.0, 1.0, 1.0] and model.align_corners


def test_imagenet_backbones_of_cirkd(tmp_path: Path) -> None:
    """resnet18-imagenet.pth and mobilenetv2-imagenet.pth: the same names without ``pretrained.``, and a classifier."""
    for model, prefix, classifier in (
        ("cirkd-deeplabv3-r18", "pretrained.", {"fc.weight": torch.zeros(9, 512), "fc.bias": torch.zeros(9)}),
        ("cirkd-deeplabv3-mv2", "pretrained.net.", {"classifier.1.weight": torch.zeros(9, 1280)}),
    ):
        state = foreign.state_dict(model)
        bare = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        torch.save({**bare, **classifier}, tmp_path / "w.pth")
        network = build_model(model, 3)
        report = load_backbone_weights(network, tmp_path / "w.pth")
        assert (report.format, report.missing, report.unexpected) == ("CIRKD", (), ())
        assert report.notes == (BACKBONE_NOTE,) and report.normalisation is None  # Caffe's, as the network's own
        expected = FORMAT.translate(state).tensors
        assert all(torch.equal(expected[f"backbone.{n}"], t) for n, t in network.backbone.state_dict().items())


def test_the_wider_aspp_of_cirkdv2_is_named(tmp_path: Path) -> None:
    """The released files keep their names whatever the width: the error says which model has it."""
    keys = foreign.keys("cirkd-deeplabv3-r18")

    def widened(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not name.startswith("head."):
            return shape
        return tuple({128: 512, 640: 2560}.get(n, n) for n in shape)

    torch.save({name: torch.zeros(widened(name, shape)) for name, shape in keys.items()}, tmp_path / "w.pth")
    with pytest.raises(SegkdError, match=r"an ASPP of width 512: .*it fits cirkdv2-deeplabv3-r18"):
        load_weights(build_model("cirkd-deeplabv3-r18", 19), tmp_path / "w.pth")
    assert load_weights(build_model("cirkdv2-deeplabv3-r18", 19), tmp_path / "w.pth").mismatched == ()
