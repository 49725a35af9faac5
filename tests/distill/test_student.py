from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd.errors import SegkdError
from segkd.recipe import StudentPart, load_recipe
from segkd_distill.models.checkpoint_formats.cirkd import CAFFE
from segkd_distill.models.zoo import MODELS
from segkd_distill.student import build_student, check_start
from tests.distill.models.checkpoint_formats import foreign


def test_a_published_recipe_does_not_start_from_random_weights() -> None:
    recipe = load_recipe("cityscapes-pspnet-r18")
    with pytest.raises(SegkdError, match=r"does not train pspnet-r18 from random weights: give --backbone-weights"):
        check_start(recipe.student)
    for override in ("student.from_scratch=true", "student.backbone_weights=w.pth", "student.weights=w.pth"):
        check_start(load_recipe("cityscapes-pspnet-r18", [override]).student)


def test_recipes_that_say_nothing_and_the_quickstarts() -> None:
    check_start(StudentPart(model="pspnet-r18"))
    assert load_recipe("quickstart-student").student.from_scratch is True
    check_start(load_recipe("quickstart-teacher").student)


def test_the_architecture_has_the_normalisation_of_its_weights(tmp_path: Path) -> None:
    torch.save(foreign.state_dict("cirkd-deeplabv3-mv2"), tmp_path / "w.pth")
    # MobileNetV2's tensors are the same in both networks; what they were trained with is not.
    student, config = build_student(StudentPart(model="pspnet-mv2", backbone_weights=str(tmp_path / "w.pth")), 3)
    assert (config.mean, config.std) == CAFFE and config.name == "pspnet-mv2"
    torch.testing.assert_close(student.mean.flatten(), torch.tensor(CAFFE.mean))
    _, untouched = build_student(StudentPart(model="pspnet-mv2"), 3)
    assert untouched == MODELS["pspnet-mv2"]


def test_weights_for_other_classes_leave_a_fresh_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(foreign.state_dict("cirkd-deeplabv3-mv2"), tmp_path / "w.pth")
    part = StudentPart(model="cirkd-deeplabv3-mv2", weights=str(tmp_path / "w.pth"))
    with pytest.raises(
        SegkdError, match=r"19 classes, the network has 3 \([\w.]+\); with --fresh-classifier the student"
    ):
        build_student(part, 3)
    student, _ = build_student(part.model_copy(update={"fresh_classifier": True}), 3)
    assert student.num_classes == 3
    assert "the classifiers are for other classes: they keep their initial values" in capsys.readouterr().err
