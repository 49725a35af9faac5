from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segkd_distill.methods.base import StepContext
from segkd_distill.methods.compose import build_composite
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import MODELS, build_model
from segkd_distill.step import AUX_WEIGHT, DistillStep
from segkd_distill.task_loss import build_task_loss, hard_cross_entropy, labelled_cross_entropy

CLASSES = 4
IMAGES = torch.randint(0, 256, (4, 3, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
MASKS = torch.randint(0, CLASSES, (4, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def context(labelled: list[bool] | None = None) -> StepContext:
    return StepContext(0, 10, 0, 255, torch.tensor(labelled or [True] * 4))


def student(auxiliary: bool = False) -> Segmenter:
    torch.manual_seed(0)
    config = replace(MODELS["quickstart-mv2"], auxiliary_channels=8 if auxiliary else None)
    return build_model(config, CLASSES)


def teacher() -> Segmenter:
    torch.manual_seed(1)
    return build_model("quickstart-r18", CLASSES)


def distillation(method: str = "cwd", mixed: bool = False) -> DistillStep:
    net, guide = student(), teacher()
    built = build_composite([method], student=net.tap_info(), teacher=guide.tap_info(), num_classes=CLASSES)
    return DistillStep(net, guide, built, mixed=mixed)


def test_terms_of_a_student_alone() -> None:
    step = DistillStep(student()).eval()
    terms = step(IMAGES, MASKS, context())
    assert list(terms) == ["task/ce"] and step.logits is None
    net = step.student
    logits = net.upsample(net(IMAGES).logits, (32, 64))
    torch.testing.assert_close(terms["task/ce"], labelled_cross_entropy(logits, MASKS.long()))


def test_the_auxiliary_head_counts_while_training() -> None:
    step = DistillStep(student(auxiliary=True))
    torch.manual_seed(5)
    terms = step(IMAGES, MASKS, context())
    torch.manual_seed(5)
    output = step.student(IMAGES)
    expected = labelled_cross_entropy(step.student.upsample(output.aux_logits, (32, 64)), MASKS.long())
    assert AUX_WEIGHT == 0.4
    torch.testing.assert_close(terms["task/aux"], 0.4 * expected)
    assert "task/aux" not in step.eval()(IMAGES, MASKS, context())


def test_terms_of_a_distillation_are_scalars_of_float32() -> None:
    terms = distillation("cwd+kd:0.5")(IMAGES, MASKS, context())
    assert set(terms) == {"task/ce", "cwd/logits", "kd/logits"}
    assert all(term.shape == () and term.dtype == torch.float32 for term in terms.values())


def test_the_teacher_is_frozen_hidden_and_stays_in_eval_mode() -> None:
    step = distillation()
    step.train()
    guide = step.teacher
    assert guide is not None and step.training and step.student.training
    assert not guide.training and not any(module.training for module in guide.modules())
    assert not any(parameter.requires_grad for parameter in guide.parameters())
    assert not set(map(id, guide.parameters())) & set(map(id, step.parameters()))
    assert not any("teacher" in name for name in step.state_dict())
    assert len(step.state_dict()) == len(step.student.state_dict())


def test_the_teacher_gets_no_gradient_and_does_not_change() -> None:
    step = distillation("cwd+kd")
    guide = step.teacher
    assert guide is not None
    before = {name: tensor.clone() for name, tensor in guide.state_dict().items()}
    step.train()
    sum(step(IMAGES, MASKS, context()).values()).backward()
    assert all(parameter.grad is None for parameter in guide.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in guide.state_dict().items())
    assert all(parameter.grad is not None for parameter in step.student.decode_head.parameters())


@pytest.mark.parametrize("auxiliary", [False, True])
def test_hard_pixels_and_class_weights(auxiliary: bool) -> None:
    """The main head counts the hard pixels of labelled rows, the auxiliary head all of them."""
    weights = torch.linspace(0.5, 2, CLASSES)
    loss = build_task_loss({"ohem": {"threshold": 0.2, "min_kept": 10}}, weights.tolist())
    step = DistillStep(student(auxiliary), teacher(), mixed=True, task_loss=loss)
    masks = MASKS.clone()
    masks[2:] = 255
    torch.manual_seed(5)
    terms = step(IMAGES, masks, context([True, True, False, False]))
    torch.manual_seed(5)
    output = step.student(IMAGES)
    scores = step.student.upsample(output.logits, (32, 64))[:2]
    assert loss.ohem is not None
    expected = hard_cross_entropy(scores, masks[:2].long(), loss.ohem, class_weights=weights)
    torch.testing.assert_close(terms["task/ohem"], expected)
    plain = labelled_cross_entropy(scores, masks[:2].long(), class_weights=weights)
    assert not torch.isclose(terms["task/ohem"], plain)
    assert set(terms) == {"task/ohem"} | ({"task/aux"} if auxiliary else set())
    if auxiliary:
        scores = step.student.upsample(output.aux_logits, (32, 64))[:2]
        expected = 0.4 * labelled_cross_entropy(scores, masks[:2].long(), class_weights=weights)
        torch.testing.assert_close(terms["task/aux"], expected)
    assert step.state_dict().keys() == {f"student.{name}" for name in step.student.state_dict()}


def test_unlabelled_rows_count_for_the_method_and_not_for_the_labels() -> None:
    labelled = [True, True, False, False]
    masks = MASKS.clone()
    masks[2:] = 255
    mixed, plain = distillation(mixed=True).eval(), distillation(mixed=False).eval()
    terms = mixed(IMAGES, masks, context(labelled))
    for name, value in plain(IMAGES, masks, context(labelled)).items():
        torch.testing.assert_close(terms[name], value)  # leaving the rows out is only faster
    first_half = plain(IMAGES[:2], masks[:2], context([True, True]))
    torch.testing.assert_close(terms["task/ce"], first_half["task/ce"])
    assert not torch.isclose(terms["cwd/logits"], first_half["cwd/logits"])


def test_a_batch_without_any_label_is_zero_and_finite() -> None:
    step = distillation(mixed=True)
    masks = torch.full_like(MASKS, 255)
    for labelled in ([False] * 4, [True] * 4):
        terms = step(IMAGES, masks, context(labelled))
        assert terms["task/ce"].item() == 0
        sum(terms.values()).backward()
        assert all(torch.isfinite(p.grad).all() for p in step.student.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_pixels_may_be_bytes_or_floats(kind: torch.dtype) -> None:
    step = DistillStep(student()).eval()
    assert torch.equal(step(IMAGES.to(kind), MASKS, context())["task/ce"], step(IMAGES, MASKS, context())["task/ce"])


def test_rows_without_labels_get_the_teachers_where_it_is_sure() -> None:
    step = distillation("bpkd", mixed=True).eval()
    seen: list[StepContext] = []
    assert step.method is not None and step.teacher is not None
    step.method.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[3]))
    masks = MASKS.clone()
    masks[2:] = 255
    guide = step.teacher
    probability, winner = guide.upsample(guide(IMAGES).logits[2:], (32, 64)).softmax(1).max(1)
    step.pseudo_labels = float(probability.median())
    step(IMAGES, masks, context([True, True, False, False]))

    expected = torch.where(probability > step.pseudo_labels, winner, 255)
    assert 0 < (expected == 255).float().mean() < 1
    assert seen[0].pseudo_labels is not None
    torch.testing.assert_close(seen[0].pseudo_labels[:2], MASKS[:2].long())
    torch.testing.assert_close(seen[0].pseudo_labels[2:], expected)
    assert step.pseudo_share is not None
    torch.testing.assert_close(step.pseudo_share, (expected != 255).float().mean())


def test_a_method_without_labels_asks_for_no_pseudo_labels() -> None:
    net, guide = student(), teacher()
    built = build_composite(["cwd"], student=net.tap_info(), teacher=guide.tap_info(), num_classes=CLASSES)
    assert DistillStep(net, guide, built, mixed=True, pseudo_labels=0.5).pseudo_labels is None


def test_self_training_takes_them_into_the_task() -> None:
    masks = MASKS.clone()
    masks[2:] = 255
    step = distillation("cwd", mixed=True).eval()
    without = step(IMAGES, masks, context([True, True, False, False]))["task/ce"]
    step.pseudo_labels, step.self_training = 0.0, True
    assert step.teacher is not None
    winner = step.teacher.upsample(step.teacher(IMAGES).logits, (32, 64)).argmax(1)
    merged = torch.cat([MASKS[:2].long(), winner[2:]])
    logits = step.student.upsample(step.student(IMAGES).logits, (32, 64))
    mixed = step(IMAGES, masks, context([True, True, False, False]))["task/ce"]
    torch.testing.assert_close(mixed, labelled_cross_entropy(logits, merged))
    assert mixed != without
