from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from segkd_distill.methods import METHODS
from segkd_distill.methods.base import StepContext
from segkd_distill.methods.compose import build_composite
from segkd_distill.models.network import Network
from segkd_distill.models.teachers.class_map import ClassMap, map_classes
from segkd_distill.models.teachers.mapped_teacher import MappedTeacher
from segkd_distill.models.zoo import build_model
from tests.distill.models.base import small_image

NAMES = ("a", "b", "c", "d", "e")
SHUFFLED = (3, 0, 4, 1, 2)


def teacher(classes: int = 5, model: str = "quickstart-r18") -> Network:
    torch.manual_seed(0)
    return build_model(model, classes).eval().requires_grad_(False)


def mapped(*groups: tuple[int, ...], classes: int = 5) -> MappedTeacher:
    names = tuple(map(str, range(len(groups))))
    return MappedTeacher(teacher(classes), ClassMap(tuple(map(str, range(classes))), names, groups)).eval()


def logits(*probabilities: float) -> Tensor:
    """One pixel, whose softmax is this."""
    return torch.tensor(probabilities).log().view(1, -1, 1, 1)


def test_probabilities_of_merged_classes_add_up() -> None:
    network = mapped((2,), (0, 3), (1, 4))
    found = network.map_logits(logits(0.1, 0.2, 0.3, 0.15, 0.25) + 7)
    torch.testing.assert_close(found.softmax(1).flatten(), torch.tensor([0.3, 0.25, 0.45]))
    assert found[0, 0].item() == pytest.approx(math.log(0.3) + 7)  # a class of its own keeps its logit


def test_what_is_left_out_is_shared_among_the_rest() -> None:
    network = mapped((2,), (0, 3), classes=5)
    found = network.map_logits(logits(0.1, 0.2, 0.3, 0.15, 0.25)).softmax(1).flatten()
    torch.testing.assert_close(found, torch.tensor([0.3, 0.25]) / 0.55)


def test_a_permutation_moves_the_very_numbers() -> None:
    network = mapped((4,), (1,), (0,), (3,), (2,))
    image = small_image()
    expected = network.teacher(image).logits[:, [4, 1, 0, 3, 2]]
    assert torch.equal(network(image).logits, expected)


def test_taps_widths_and_upsampling_are_the_teachers() -> None:
    network = mapped((0, 1), (2, 3, 4))
    info, theirs = network.tap_info(), network.teacher.tap_info()
    assert info == replace(theirs, num_classes=2) and network.num_classes == 2
    image, taps = small_image(), frozenset({"c2", "decoder"})
    output, expected = network(image, taps), network.teacher(image, taps)
    assert output.logits.shape[1] == 2 and output.aux_logits is None and set(output.taps) == taps
    assert all(torch.equal(output.taps[name], expected.taps[name]) for name in taps)
    network.teacher.align_corners = True
    row = torch.arange(4.0).view(1, 1, 1, 4)
    assert torch.equal(network.upsample(row, (1, 7)), network.teacher.upsample(row, (1, 7)))
    assert torch.equal(network.mean, network.teacher.mean)


def test_large_logits_stay_finite_and_keep_their_dtype() -> None:
    network = mapped((0, 1), (2, 3, 4))
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        values = torch.tensor([200.0, -200, 200, 200, -200], dtype=dtype).view(1, 5, 1, 1)
        found = network.map_logits(values)
        assert found.dtype == dtype and torch.isfinite(found).all()


@pytest.mark.parametrize("name", METHODS)
def test_a_teacher_of_another_order_gives_every_method_the_same_terms(name: str) -> None:
    """A teacher with shuffled classes, mapped by name, cannot be told from the plain one; it gets no gradient."""
    torch.manual_seed(1)
    student, plain = build_model("quickstart-mv2", 5), teacher()
    shuffled = teacher()
    for values in (
        shuffled.get_parameter("decode_head.conv_seg.weight"),
        shuffled.get_parameter("decode_head.conv_seg.bias"),
    ):
        values.copy_(values[list(SHUFFLED)])
    names = tuple(NAMES[i] for i in SHUFFLED)
    guide = MappedTeacher(shuffled, map_classes(names, NAMES)).eval()
    assert guide.tap_info() == plain.tap_info()
    torch.manual_seed(2)
    method = build_composite([name], student=student.tap_info(), teacher=guide.tap_info(), num_classes=5)
    image = torch.randint(0, 256, (2, 3, 64, 64))
    labels = torch.randint(0, 5, (2, 64, 64))
    ctx = StepContext(0, 10, 0, 255, torch.tensor([True, True]))
    seen = student.eval()(image, method.needs.student_taps)
    terms = []
    for network in (plain, guide):
        output = network(image, method.needs.teacher_taps)
        assert not output.logits.requires_grad
        torch.manual_seed(3)
        state = {key: value.clone() for key, value in method.state_dict().items()}
        terms.append(method(seen, output, labels, ctx))
        method.load_state_dict(state)
    assert terms[0].keys() == terms[1].keys() and terms[0]
    for key, value in terms[0].items():
        torch.testing.assert_close(terms[1][key], value)
