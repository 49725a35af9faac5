from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd_distill.models.checkpoints.formats.base import IMAGENET
from segkd_distill.models.checkpoints.formats.cirkd import CAFFE
from segkd_distill.models.checkpoints.reading import read_checkpoint
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.zoo import MODELS, build_model


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return build_model("pspnet-r18", 3).state_dict()


def test_open_mmlab_0x(state: dict[str, Tensor], tmp_path: Path) -> None:
    meta = {"CLASSES": ["road", "sky", "car"], "PALETTE": [[0, 0, 0]] * 3, "mmseg_version": "0.26.0"}
    torch.save({"meta": meta, "state_dict": state, "optimizer": {}}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert (found.format, found.num_classes, found.class_names) == ("open-mmlab", 3, ("road", "sky", "car"))
    assert found.normalisation == IMAGENET and not found.is_backbone and found.notes == ()
    assert list(found.tensors) == list(state)


def test_the_configuration_in_the_file_wins(state: dict[str, Tensor], tmp_path: Path) -> None:
    config = "img_norm_cfg = dict(\n    mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)"
    torch.save({"meta": {"mmseg_version": "0.26.0", "config": config}, "state_dict": state}, tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").normalisation == ((1, 2, 3), (4, 5, 6))


def test_nothing_tells_the_normalisation_of_bare_networks(state: dict[str, Tensor], tmp_path: Path) -> None:
    """A run's ``student.safetensors`` alone has the same names, whatever it was trained with."""
    torch.save(state, tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").normalisation is None


def test_open_mmlab_1x(state: dict[str, Tensor], tmp_path: Path) -> None:
    own = {
        **state,
        "data_preprocessor.mean": torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1),
        "data_preprocessor.std": torch.ones(3, 1, 1),
        "decode_head.loss_decode.weight": torch.ones(3),
    }
    meta = {"dataset_meta": {"classes": ("road", "sky", "car")}, "cfg": "model = ..."}
    torch.save({"meta": meta, "state_dict": own}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert found.class_names == ("road", "sky", "car") and found.normalisation is not None
    assert found.normalisation.mean == (1, 2, 3) and list(found.tensors) == list(state)


@pytest.mark.parametrize("prefix", ["architecture.", "architecture.model.", "student.", "module.architecture.model."])
def test_mmrazor_gives_the_student(state: dict[str, Tensor], tmp_path: Path, prefix: str) -> None:
    wrapped = {prefix + name: tensor for name, tensor in state.items()}
    teacher = prefix.removesuffix("architecture.model.") if prefix.startswith("module.") else ""
    wrapped |= {f"{teacher}teacher.{name}": tensor for name, tensor in list(state.items())[:5]}
    torch.save({"state_dict": wrapped}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert found.format == "mmrazor" and list(found.tensors) == list(state)
    assert found.notes == ("the student of a distillation; 5 tensors of its teacher are left out",)


def test_class_names_that_do_not_fit_the_classifier_are_not_believed(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"meta": {"CLASSES": ("road", "sky")}, "state_dict": state}, tmp_path / "w.pth")
    assert read_checkpoint(tmp_path / "w.pth").class_names is None


def test_a_run(tmp_path: Path) -> None:
    model = build_model("cirkd-deeplabv3-mv2", 2)
    labels = LabelSpace(names=("road", "sky"), palette=((0, 0, 0), (1, 1, 1)))
    save_model(tmp_path / "run", model, MODELS["cirkd-deeplabv3-mv2"], labels, (64, 128))
    for path in (tmp_path / "run", tmp_path / "run" / "student.safetensors"):
        found = read_checkpoint(path)
        assert (found.format, found.num_classes, found.class_names) == ("segkd", 2, ("road", "sky"))
        assert found.normalisation == CAFFE and found.notes == ("a run's cirkd-deeplabv3-mv2",)
    # The first convolution is RGB already: a run is not turned round again.
    assert torch.equal(found.tensors["backbone.conv1.conv.weight"], model.backbone.conv1.conv.weight)
    (tmp_path / "run" / "model.json").write_text(json.dumps({"label_space": {"names": ["road"]}}))
    with pytest.raises(SegkdError, match=r"model\.json: a field is missing or malformed"):
        read_checkpoint(tmp_path / "run")


def test_unknown_names(tmp_path: Path) -> None:
    torch.save({"encoder.0.weight": torch.zeros(1)}, tmp_path / "w.pth")
    found = read_checkpoint(tmp_path / "w.pth")
    assert found.format == "unknown" and list(found.tensors) == ["encoder.0.weight"] and found.num_classes is None


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="no weights file"):
        read_checkpoint(tmp_path / "w.pth")
    with pytest.raises(SegkdError, match="is a folder"):
        read_checkpoint(tmp_path)
    torch.save({"state_dict": {"teacher.a": torch.zeros(1)}}, tmp_path / "t.pth")
    with pytest.raises(SegkdError, match="holds no tensors of a network"):
        read_checkpoint(tmp_path / "t.pth")
