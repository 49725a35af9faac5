from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses import cross_image_relation, logit_kd
from segkd_distill.methods import build_method
from segkd_distill.methods.cirkd import CrossImageRelationalDistillation
from segkd_distill.methods.compose import Composite
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.methods.base import BaseMethodTester, Hyper
from tests.distill.methods.networks import IGNORE, all_close, backward, context, forward, rebuilt
from tests.golden_values import golden, parameters, uniform

GOLDEN = golden("cirkd")
LABELLED = torch.ones(2, dtype=torch.bool)
SMALL = {"pixel_memory_size": 40, "region_memory_size": 6, "pixel_contrast_size": 60, "region_contrast_size": 20}
NO_MEMORY = {"pixel_weight": 0, "region_weight": 0}
MEMORY_TERMS = ["pixel_memory", "region_memory"]


class TestCrossImageRelationalDistillation(BaseMethodTester):
    name = "cirkd"
    variants = (
        SMALL,
        {**SMALL, "mask_ignore": True},
        {**SMALL, "mask_ignore": True, "legacy_pixel_enqueue": True, "kd_weight": 0, "region_weight": 0},
        {**NO_MEMORY, "mask_ignore": True},
    )

    def build_cirkd(self, hyper: Hyper) -> CrossImageRelationalDistillation:
        method = self.build(hyper)
        assert isinstance(method, CrossImageRelationalDistillation)
        return method

    def test_unlabelled_rows(self, variant: Hyper) -> None:
        if not variant.get("pixel_weight", 1):
            super().test_unlabelled_rows(variant)
            return
        method = self.build(variant)
        assert not method.needs.labels
        student, teacher, labels = self.batch(method)
        labels[1] = IGNORE
        mixed = copy.deepcopy(method)
        terms = forward(
            Composite([(self.name, 1.0, mixed)]), student, teacher, labels, torch.tensor([True, False, True])
        )
        backward(terms)
        grad = student.taps["decoder"].grad
        assert grad is not None and grad[1].any()
        # The banks hold what they would without the unlabelled row.
        rows = torch.tensor([0, 2])
        two = [rebuilt(output, lambda _, x: x[rows]) for output in (student, teacher)]
        forward(method, two[0], two[1], labels[rows])
        banks = {key: value for key, value in method.state_dict().items() if "bank" in key}
        assert banks
        for key, value in banks.items():
            torch.testing.assert_close(mixed.state_dict()[key], value)

    def test_unlabelled_pixels_are_anchors(self) -> None:
        method = self.build_cirkd({**SMALL, "kd_weight": 0, "mini_batch_weight": 0})
        student, teacher, labels = self.batch(method)
        labels[1] = IGNORE
        terms = forward(method, student, teacher, labels, torch.zeros(3, dtype=torch.bool))
        backward(terms)
        grad = student.taps["decoder"].grad
        assert list(terms) == MEMORY_TERMS and grad is not None and grad.abs().sum((1, 2, 3)).all()
        assert method.pixel_bank is not None and not method.pixel_bank.next_slot.any()

    def test_terms_and_weights(self) -> None:
        method = self.build({**SMALL, "kd_weight": 2.0, "mini_batch_weight": 3.0, "kd_temperature": 2.0})
        student, teacher, labels = self.batch(method)
        terms = forward(method, student, teacher, labels)
        assert list(terms) == ["logits", "mini_batch", *MEMORY_TERMS]
        expected = 2 * logit_kd(student.logits, teacher.logits, temperature=2.0)
        assert terms["logits"].item() == pytest.approx(expected.item(), rel=1e-12)
        expected = 3 * cross_image_relation(student.taps["decoder"], teacher.taps["decoder"])
        assert terms["mini_batch"].item() == pytest.approx(expected.item(), rel=1e-12)
        halved = self.build({**SMALL, "pixel_weight": 0.05, "region_weight": 0.05})
        less = forward(halved, student, teacher, labels)
        for name in MEMORY_TERMS:
            assert less[name].item() == pytest.approx(terms[name].item() / 2, rel=1e-9)

    def test_pool_averages_the_features_first(self) -> None:
        pooled, plain = (self.build({**NO_MEMORY, "pool": pool}) for pool in (2, 1))
        student, teacher, labels = self.batch(pooled)
        small = [
            rebuilt(out, lambda name, x: F.avg_pool2d(x, 2, ceil_mode=True) if name == "decoder" else x)
            for out in (student, teacher)
        ]
        assert small[0].taps["decoder"].shape[-1] < student.taps["decoder"].shape[-1]
        terms, expected = forward(pooled, student, teacher, labels), forward(plain, small[0], small[1], labels)
        assert terms["mini_batch"].item() == pytest.approx(expected["mini_batch"].item(), rel=1e-12)
        with pytest.raises(SegkdError, match="pool must be a whole number of at least 1, got 0"):
            self.build({"pool": 0})

    def test_defaults(self) -> None:
        method = self.build_cirkd({})
        assert method.pixel_bank is not None and method.pixel_bank.keys.shape == (5, 20000, 32)
        assert method.region_bank is not None and method.region_bank.keys.shape == (5, 2000, 32)
        assert (method.pixel_keys, method.region_keys) == (4096 // 5 + 1, 1024 // 5 + 1)
        assert [tuple(p.shape) for p in method.parameters()] == [(32, 16, 1, 1), (32,), (32,), (32, 32, 1, 1)]
        assert not list(self.build(NO_MEMORY).state_dict())
        assert method.weights_by_dataset["voc"]["pixel_weight"] == 0.01

    def test_only_what_has_a_weight_is_there(self) -> None:
        for off, left in (("pixel", "region_memory"), ("region", "pixel_memory")):
            method = self.build({**SMALL, f"{off}_weight": 0})
            assert not any(f"{off}_bank" in key for key in method.state_dict())
            terms = forward(method, *self.batch(method))
            assert list(terms) == ["logits", "mini_batch", left]
        method = self.build({**NO_MEMORY, "mini_batch_weight": 0})
        assert not method.needs.student_taps and list(forward(method, *self.batch(method))) == ["logits"]

    def test_stores_once_per_optimiser_step(self) -> None:
        method = self.build_cirkd(SMALL)
        bank = method.pixel_bank
        assert bank is not None
        seen = [bank.keys.clone()]
        for step in (0, 0, 1, 1, 2):  # two batches per step
            forward(method, *self.batch(method, seed=len(seen)), step=step)
            seen.append(bank.keys.clone())
        changed = [not torch.equal(old, new) for old, new in pairwise(seen)]
        assert changed == [True, False, True, False, True]
        method.eval()
        forward(method, *self.batch(method), step=3)
        assert torch.equal(bank.keys, seen[-1])

    def test_resumed_within_a_step_it_does_not_store_again(self) -> None:
        first, second = self.build_cirkd(SMALL), self.build_cirkd(SMALL)
        forward(first, *self.batch(first), step=4)
        second.load_state_dict(first.state_dict())
        before = copy.deepcopy(second.state_dict())
        forward(second, *self.batch(second, seed=2), step=4)
        assert second.region_bank is not None and torch.equal(second.region_bank.keys, before["region_bank.keys"])

    def test_needs_labels_for_the_memory_only(self) -> None:
        method = self.build(SMALL)
        student, teacher, _ = self.batch(method)
        ctx = context(torch.ones(3, dtype=torch.bool))
        with pytest.raises(SegkdError, match="memory needs the labels"):
            method(student, teacher, None, ctx)
        assert list(self.build(NO_MEMORY)(student, teacher, None, ctx)) == ["logits", "mini_batch"]

    @pytest.mark.parametrize("left", [0, 1])
    def test_masked_memory_with_hardly_any_anchor(self, left: int) -> None:
        method = self.build({**SMALL, "mask_ignore": True})
        student, teacher, labels = self.batch(method)
        labels[:] = IGNORE
        labels[0, : 8 * left, :8] = 1
        terms = forward(method, student, teacher, labels)
        self.check_finite(terms, student)
        assert all((terms[name].item() == 0) == (left == 0) for name in MEMORY_TERMS)
        assert all(p.grad is not None for p in method.parameters())

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"temperature": 0}, "temperature must be a number above 0"),
            ({"pixel_weight": -1}, "pixel_weight must be a number of at least 0"),
            ({"region_memory_size": 0}, "region_memory_size must be a whole number of at least 1, got 0"),
            ({"pixel_contrast_size": 4096.0}, "pixel_contrast_size must be a whole number"),
            ({"pixel_memory_size": 15}, "pixel_memory_size must be at least pixels_per_class, got 15 < 16"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: Hyper, message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)


def original_setting(dtype: torch.dtype, **hyper: Any) -> CrossImageRelationalDistillation:
    """The method with head, banks and sizes of the golden case; weights 1."""
    case = GOLDEN.case("memory_pixel_region")
    sizes = case["hyper"]
    classes = sizes["num_classes"]
    settings = {
        "kd_weight": 0,
        "mini_batch_weight": 0,
        "pixel_weight": 1,
        "region_weight": 1,
        "temperature": sizes["contrast_temperature"],
        "pixel_memory_size": sizes["pixel_memory_size"],
        "region_memory_size": sizes["region_memory_size"],
        # There it is the number per class.
        "pixel_contrast_size": (sizes["pixel_contrast_size"] - 1) * classes,
        "region_contrast_size": (sizes["region_contrast_size"] - 1) * classes,
        "pixels_per_class": sizes["pixel_update_freq"],
        "legacy_pixel_enqueue": True,
    }
    strides = {"decoder": 4, "logits": 4}
    method = build_method(
        "cirkd",
        student=TapInfo({"decoder": 16}, strides, classes),
        teacher=TapInfo({"decoder": 32}, strides, classes),
        num_classes=classes,
        **{**settings, **hyper},
    ).to(dtype)
    assert isinstance(method, CrossImageRelationalDistillation)
    method.head.load_state_dict(parameters(case["project_head"]["manifest"], dtype), strict=False)
    for bank, seed, size in ((method.region_bank, 701, 10), (method.pixel_bank, 702, 20)):
        assert bank is not None
        bank.keys.copy_(F.normalize(torch.from_numpy(uniform(seed, (7, size, 32), 1.0)).to(dtype), dim=2))
    return method


def step_inputs(step: int, dtype: torch.dtype) -> tuple[SegOutput, SegOutput, Tensor]:
    if step == 0:
        s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
    else:
        s = torch.from_numpy(uniform(205, (2, 16, 16, 16), 2.0)).to(dtype).requires_grad_()
        t = torch.from_numpy(uniform(206, (2, 32, 16, 16), 2.0)).to(dtype)
    logits = torch.zeros(2, 7, 16, 16, dtype=dtype)
    return SegOutput(logits, None, {"decoder": s}), SegOutput(logits, None, {"decoder": t}), GOLDEN.tensor("labels")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_golden_memory(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randperm", torch.arange)  # as in the recorded run
    method = original_setting(dtype)
    for recorded in GOLDEN.case("memory_pixel_region")["steps"]:
        step = recorded["step"]
        student, teacher, labels = step_inputs(step, dtype)
        terms = method(student, teacher, labels, context(LABELLED, step))
        for kind, bank, queue, pointer in (
            ("region", method.region_bank, "segq", "seg_ptr"),
            ("pixel", method.pixel_bank, "pixq", "pix_ptr"),
        ):
            assert bank is not None
            assert terms[f"{kind}_memory"].item() == pytest.approx(recorded[kind], rel=1e-5)
            (slope,) = torch.autograd.grad(terms[f"{kind}_memory"], student.taps["decoder"], retain_graph=True)
            GOLDEN.check_grad(f"g_mem_{kind}_step{step}", slope)
            GOLDEN.check_grad(f"{queue}_after_step{step}", bank.keys)
            assert bank.next_slot.tolist() == recorded[pointer]


def test_pixels_are_those_of_the_class_unless_legacy() -> None:
    fixed, legacy = (original_setting(torch.float64, legacy_pixel_enqueue=flag) for flag in (False, True))
    student, teacher, labels = step_inputs(0, torch.float64)
    of_pixel = F.normalize(teacher.taps["decoder"], dim=1).movedim(1, -1).flatten(0, 2)
    of_class = F.interpolate(labels[:, None].double(), size=(16, 16), mode="nearest").flatten()
    shares = []
    for method in (fixed, legacy):
        forward(method, student, teacher, labels)
        assert method.pixel_bank is not None
        for label in range(7):
            stored = (of_pixel @ method.pixel_bank.keys[label, 4:].T).max(0)  # the last 16 slots are full
            assert stored.values.min() > 1 - 1e-9
            shares.append((of_class[stored.indices] == label).double().mean().item())
    assert shares[:7] == [1.0] * 7
    assert max(shares[7:]) < 1


def test_golden_mini_batch() -> None:
    method = original_setting(torch.float64, mini_batch_weight=1, pixel_weight=1)
    student, teacher, labels = step_inputs(0, torch.float64)
    loss = method(student, teacher, labels, context(LABELLED))["mini_batch"]
    GOLDEN.check_loss(GOLDEN.case("minibatch_pixel"), loss, rtol=1e-6)
    loss.backward()
    GOLDEN.check_grad("g_mb", student.taps["decoder"].grad)


def test_gradient_of_the_head() -> None:
    method = original_setting(torch.float64)
    student, teacher, labels = step_inputs(0, torch.float64)
    forward(method, student, teacher, labels)
    weights = [p for p in method.head.parameters() if p.dim() == 4]

    def loss(*_: Tensor) -> Tensor:
        return sum(forward(method, student, teacher, labels).values(), torch.zeros(()))

    assert torch.autograd.gradcheck(loss, tuple(weights), fast_mode=True)


def test_masked_head_sees_the_anchors_only() -> None:
    method = original_setting(torch.float64, mask_ignore=True, legacy_pixel_enqueue=False)
    student, teacher, labels = step_inputs(0, torch.float64)
    unmasked = copy.deepcopy(method)
    unmasked.mask_ignore = False
    terms = forward(method, student, teacher, labels)
    others = forward(unmasked, student, teacher, labels)
    assert all(terms[name] != others[name] for name in terms)
    everywhere = torch.full_like(labels, 3)
    all_close(
        forward(method, student, teacher, everywhere, step=1), forward(unmasked, student, teacher, everywhere, step=1)
    )
