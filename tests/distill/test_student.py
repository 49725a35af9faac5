from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd.recipe import StudentSection, load_recipe
from segkd_distill.models.checkpoints.formats.cirkd import CAFFE
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import MODELS, build_model
from segkd_distill.student import build_student, check_start
from tests.distill.models.checkpoints.formats import foreign


def test_a_published_recipe_does_not_start_from_random_weights() -> None:
    recipe = load_recipe("cityscapes-pspnet-r18")
    with pytest.raises(SegkdError, match=r"does not train pspnet-r18 from random weights: give --backbone-weights"):
        check_start(recipe.student)
    for override in ("student.from_scratch=true", "student.backbone_weights=w.pth", "student.weights=w.pth"):
        check_start(load_recipe("cityscapes-pspnet-r18", [override]).student)


def test_recipes_that_say_nothing_and_the_quickstarts() -> None:
    check_start(StudentSection(model="pspnet-r18"))
    assert load_recipe("quickstart-student").student.from_scratch is True
    check_start(load_recipe("quickstart-teacher").student)


def test_the_architecture_has_the_normalisation_of_its_weights(tmp_path: Path) -> None:
    torch.save(foreign.state_dict("cirkd-deeplabv3-mv2"), tmp_path / "w.pth")
    # MobileNetV2's tensors are the same in both networks; what they were trained with is not.
    student, config = build_student(StudentSection(model="pspnet-mv2", backbone_weights=str(tmp_path / "w.pth")), 3)
    assert (config.mean, config.std) == CAFFE and config.name == "pspnet-mv2"
    torch.testing.assert_close(student.mean.flatten(), torch.tensor(CAFFE.mean))
    _, untouched = build_student(StudentSection(model="pspnet-mv2"), 3)
    assert untouched == MODELS["pspnet-mv2"]


def test_weights_for_other_classes_leave_a_fresh_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(foreign.state_dict("cirkd-deeplabv3-mv2"), tmp_path / "w.pth")
    part = StudentSection(model="cirkd-deeplabv3-mv2", weights=str(tmp_path / "w.pth"))
    with pytest.raises(
        SegkdError, match=r"19 classes, the network has 3 \([\w.]+\); with --fresh-classifier the student"
    ):
        build_student(part, 3)
    student, _ = build_student(part.model_copy(update={"fresh_classifier": True}), 3)
    assert student.num_classes == 3
    assert "the classifiers are for other classes: they keep their initial values" in capsys.readouterr().err


def saved_run(folder: Path, names: tuple[str, ...]) -> Segmenter:
    torch.manual_seed(1)
    model = build_model("quickstart-mv2", len(names))
    labels = LabelSpace(names, ((0, 0, 0),) * len(names))
    save_model(folder, model, MODELS["quickstart-mv2"], labels, (64, 64))
    return model


@pytest.mark.parametrize("data", [("c", "A", "b_b"), ("b b", "a")])
def test_classifiers_follow_the_names_of_the_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: tuple[str, ...]
) -> None:
    model = saved_run(tmp_path, ("a", "b-b", "c"))
    part = StudentSection(model="quickstart-mv2", weights=str(tmp_path))
    student, _ = build_student(part, len(data), data)
    order = [["a", "b b", "c"].index(name.lower().replace("_", " ")) for name in data]
    assert torch.equal(student.decode_head.conv_seg.weight, model.decode_head.conv_seg.weight[order])
    assert torch.equal(student.decode_head.conv_seg.bias, model.decode_head.conv_seg.bias[order])
    assert "brought into the data's order" in capsys.readouterr().err


def test_as_many_classes_of_other_names_are_other_classes(tmp_path: Path) -> None:
    model = saved_run(tmp_path, ("a", "b", "c"))
    part = StudentSection(model="quickstart-mv2", weights=str(tmp_path))
    with pytest.raises(SegkdError, match="no class of the weights is called d; with --fresh-classifier"):
        build_student(part, 3, ("a", "b", "d"))
    student, _ = build_student(part.model_copy(update={"fresh_classifier": True}), 3, ("a", "b", "d"))
    assert not torch.equal(student.decode_head.conv_seg.weight, model.decode_head.conv_seg.weight)
    assert torch.equal(next(student.backbone.parameters()), next(model.backbone.parameters()))
