from __future__ import annotations

from pathlib import Path

import torch

from segkd_distill.models.checkpoints.inspect import candidates, describe, fitting_models
from segkd_distill.models.checkpoints.reading import read_checkpoint
from segkd_distill.models.zoo import build_model
from tests.distill.models.checkpoints.formats import foreign


def test_a_network(tmp_path: Path) -> None:
    model = build_model("pspnet-r18", 3)
    torch.save({"state_dict": model.state_dict(), "meta": {"CLASSES": ("a", "b", "c")}}, tmp_path / "w.pth")
    checkpoint = read_checkpoint(tmp_path / "w.pth")
    best, second, *_ = candidates(checkpoint)
    assert best.model == "pspnet-r18" and best.fit == 1.0 and len(best.report.matched) == len(model.state_dict())
    assert 0.5 <= second.fit < 1.0
    assert fitting_models(checkpoint) == ["it fits pspnet-r18"]
    found = describe(checkpoint)
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    assert found["auxiliary_parameters"] == sum(p.numel() for p in model.auxiliary_head.parameters())
    assert found["class_names"] == ("a", "b", "c") and found["holds"] == "a network"
    assert found["models"][0]["missing"] == () and found["models"][1]["name"] == second.model


def test_a_network_without_its_auxiliary_head_fits_completely(tmp_path: Path) -> None:
    state = build_model("pspnet-r18", 3).state_dict()
    torch.save({n: t for n, t in state.items() if not n.startswith("auxiliary_head.")}, tmp_path / "w.pth")
    best = candidates(read_checkpoint(tmp_path / "w.pth"))[0]
    assert (best.model, best.fit) == ("pspnet-r18", 1.0)


def test_a_backbone_fits_every_model_that_has_it(tmp_path: Path) -> None:
    torch.save(foreign.state_dict("timm-resnet18-deep"), tmp_path / "w.pth")
    found = describe(read_checkpoint(tmp_path / "w.pth"))
    complete = {one["name"] for one in found["models"] if one["fit"] == 1.0}
    assert {"pspnet-r18", "deeplabv3plus-r18", "isanet-r18"} <= complete
    assert found["holds"] == "a backbone" and found["num_classes"] is None


def test_cirkds_aspp(tmp_path: Path) -> None:
    torch.save(foreign.state_dict("cirkd-deeplabv3-r18"), tmp_path / "w.pth")
    found = describe(read_checkpoint(tmp_path / "w.pth"))
    assert found["aspp_width"] == 128 and found["models"][0]["name"] == "cirkd-deeplabv3-r18"
    assert found["normalisation"]["std"] == (1.0, 1.0, 1.0)


def test_nothing_that_is_known(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.zeros(4)}, tmp_path / "w.pth")
    found = describe(read_checkpoint(tmp_path / "w.pth"))
    assert found["models"] == [] and found["parameters"] == 4 and found["format"] == "unknown"
