"""What every method must hold: subclass ``BaseMethodTester``, give ``name`` and ``variants``."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.methods import build_method, method_class
from segkd_distill.methods.base import Method, valid_pixels
from segkd_distill.methods.compose import Composite
from segkd_distill.models.output import TAPS, SegOutput
from tests.distill.methods.networks import (
    IGNORE,
    STRIDES,
    STUDENT_WIDTHS,
    TEACHER_WIDTHS,
    FakeNetwork,
    all_close,
    backward,
    context,
    forward,
    rebuilt,
    tensors,
)

Hyper = dict[str, Any]


class BaseMethodTester:
    """Inherited tests of a method; every test runs once per entry of ``variants``.

    Attributes:
        name: key of ``METHODS``.
        variants: hyper-parameters to test the method with.
        image: height and width of the images in pixels, for methods that need larger grids.
        student_widths: channels of the student's taps.
        teacher_widths: channels of the wider teacher's taps.
        atol_at_identity: how near to 0 the terms are where ``zero_at_identity`` is declared.
    """

    name = ""
    variants: tuple[Hyper, ...] = ({},)
    image = (64, 96)
    student_widths = STUDENT_WIDTHS
    teacher_widths = TEACHER_WIDTHS
    atol_at_identity = 1e-12

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "variant" in metafunc.fixturenames:
            ids = [",".join(f"{k}={v}" for k, v in hyper.items()) or "defaults" for hyper in self.variants]
            metafunc.parametrize("variant", self.variants, ids=ids)

    # What the tests are made of.

    def networks(self, kind: str) -> tuple[FakeNetwork, FakeNetwork]:
        """Student and teacher: ``same`` widths, a ``wide`` teacher, or a wide and ``coarse`` one (stride 16)."""
        student = FakeNetwork(dict(self.student_widths), image=self.image)
        if kind == "same":
            return student, student
        coarse = {tap: stride if tap in ("c1", "c2") else 16 for tap, stride in STRIDES.items()}
        return student, FakeNetwork(
            dict(self.teacher_widths), coarse if kind == "coarse" else dict(STRIDES), image=self.image
        )

    def build(self, hyper: Hyper, kind: str = "wide", dtype: torch.dtype = torch.float64, seed: int = 0) -> Method:
        student, teacher = self.networks(kind)
        torch.manual_seed(seed)
        method = build_method(
            self.name, student=student.info, teacher=teacher.info, num_classes=student.num_classes, **hyper
        )
        return method.to(dtype)

    def batch(
        self, method: Method, kind: str = "wide", *, seed: int = 1, images: int = 3, dtype: torch.dtype = torch.float64
    ) -> tuple[SegOutput, SegOutput, Tensor]:
        student, teacher = self.networks(kind)
        return (
            student.output(10 * seed, images, method.needs.student_taps, dtype=dtype, grad=True),
            teacher.output(10 * seed + 1, images, method.needs.teacher_taps, dtype=dtype),
            student.labels(10 * seed + 2, images),
        )

    def check_finite(self, terms: dict[str, Tensor], student: SegOutput) -> None:
        for name, term in terms.items():
            assert term.shape == () and term.isfinite(), f"{name} is {term}"
        backward(terms)
        for name, tensor in tensors(student).items():
            assert tensor.grad is None or tensor.grad.isfinite().all(), f"gradient of {name}"

    # Contract.

    def test_needs_and_names(self, variant: Hyper) -> None:
        method = self.build(variant)
        assert {*method.needs.student_taps, *method.needs.teacher_taps} <= set(TAPS)
        student, teacher, labels = self.batch(method)
        terms = forward(method, student, teacher, labels)
        assert terms and all(name and "/" not in name for name in terms)
        backward(terms)
        for tap in method.needs.student_taps:
            grad = student.taps[tap].grad
            assert grad is not None and grad.any(), f"{tap} is needed but gets no gradient"

    @pytest.mark.parametrize("kind", ["same", "wide", "coarse"])
    def test_pairs_of_networks(self, variant: Hyper, kind: str) -> None:
        method = self.build(variant, kind)
        student, teacher, labels = self.batch(method, kind)
        terms = forward(method, student, teacher, labels)
        self.check_finite(terms, student)
        assert any(t.grad is not None and t.grad.any() for t in tensors(student).values())

    def test_dtype(self, variant: Hyper) -> None:
        for dtype in (torch.float32, torch.float64):
            method = self.build(variant, dtype=dtype)
            for name, term in forward(method, *self.batch(method, dtype=dtype)).items():
                assert term.dtype == dtype, name

    def test_autocast(self, variant: Hyper) -> None:
        method = self.build(variant, "coarse", torch.float32)
        student, teacher, labels = self.batch(method, "coarse", dtype=torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            terms = forward(method, student, teacher, labels)
        assert all(term.dtype == torch.float32 for term in terms.values())
        self.check_finite(terms, student)

    def test_teacher_gets_no_gradient_and_nothing_is_overwritten(self, variant: Hyper) -> None:
        method = self.build(variant)
        student, teacher, labels = self.batch(method)
        for tensor in tensors(teacher).values():
            tensor.requires_grad_()
        before = copy.deepcopy((tensors(student), tensors(teacher), labels))
        backward(forward(method, student, teacher, labels))
        assert all(tensor.grad is None for tensor in tensors(teacher).values())
        for old, new in zip(before[:2], (tensors(student), tensors(teacher)), strict=True):
            assert all(torch.equal(old[name], new[name]) for name in old)
        assert torch.equal(before[2], labels)

    @pytest.mark.parametrize(("of_student", "of_teacher"), [(200, 200), (200, 0), (0, 200), (0, 0)])
    def test_extreme_values(self, variant: Hyper, of_student: float, of_teacher: float) -> None:
        method = self.build(variant, "same", torch.float32)
        student, teacher, labels = self.batch(method, "same", dtype=torch.float32)
        student = rebuilt(student, lambda _, x: of_student * x.sign())
        teacher = rebuilt(teacher, lambda _, x: of_teacher * x.sign())
        self.check_finite(forward(method, student, teacher, labels), student)

    # Declared properties.

    def test_zero_at_identity(self, variant: Hyper) -> None:
        method = self.build(variant, "same")
        student, _, labels = self.batch(method, "same")
        terms = forward(method, student, rebuilt(student, lambda _, x: x.clone()), labels)
        largest = max(abs(term.item()) for term in terms.values())
        if method.declares.zero_at_identity:
            assert largest <= self.atol_at_identity
        else:
            assert largest > self.atol_at_identity, "declare zero_at_identity=True"

    def test_masks_ignore(self, variant: Hyper) -> None:
        method = self.build(variant, "same")
        student, teacher, labels = self.batch(method, "same")
        ctx = context(torch.ones(len(labels), dtype=torch.bool))

        def elsewhere(_: str, tensor: Tensor) -> Tensor:
            ignored = ~valid_pixels(labels, ctx, tensor.shape[-2:])[:, None]
            return torch.where(ignored, tensor + 3 * torch.cos(7 * tensor), tensor)

        other = rebuilt(student, elsewhere)
        terms = forward(copy.deepcopy(method), student, teacher, labels)
        changed = forward(copy.deepcopy(method), other, rebuilt(teacher, elsewhere), labels)
        if not method.declares.masks_ignore:
            assert any(terms[name] != changed[name] for name in terms), "declare masks_ignore=True"
            return
        all_close(changed, terms)
        backward(terms)
        for name, tensor in tensors(student).items():
            if tensor.grad is not None:
                ignored = ~valid_pixels(labels, ctx, tensor.shape[-2:])
                assert ignored.any() and not tensor.grad.movedim(1, -1)[ignored].any(), name

    def test_batch_symmetric(self, variant: Hyper) -> None:
        method = self.build(variant)
        if not method.declares.batch_symmetric:
            pytest.skip("not declared")
        student, teacher, labels = self.batch(method)
        terms = forward(copy.deepcopy(method), student, teacher, labels)
        order = torch.tensor([2, 0, 1])
        shuffled = [rebuilt(output, lambda _, x: x[order]) for output in (student, teacher)]
        all_close(forward(copy.deepcopy(method), shuffled[0], shuffled[1], labels[order]), terms)

    def test_all_ignored(self, variant: Hyper) -> None:
        if "mask_ignore" in inspect.signature(method_class(self.name)).parameters:
            variant = {**variant, "mask_ignore": True}
        method = self.build(variant)
        student, teacher, labels = self.batch(method)
        terms = forward(method, student, teacher, torch.full_like(labels, IGNORE))
        self.check_finite(terms, student)
        if method.declares.masks_ignore:
            assert all(term.item() == 0 for term in terms.values()), terms
            assert not any(t.grad is not None and t.grad.any() for t in tensors(student).values())

    # Rows without labels.

    def test_unlabelled_rows(self, variant: Hyper) -> None:
        method = self.build(variant)
        student, teacher, labels = self.batch(method)
        labels[1] = IGNORE
        labelled = torch.tensor([True, False, True])
        composed = Composite([(self.name, 1.0, copy.deepcopy(method))])
        terms = forward(composed, student, teacher, labels, labelled)
        prefixed = Composite([(self.name, 1.0, copy.deepcopy(method))])
        if method.needs.labels:
            pair = [rebuilt(output, lambda _, x: x[labelled]) for output in (student, teacher)]
            all_close(terms, forward(prefixed, pair[0], pair[1], labels[labelled]))
            none = forward(composed, student, teacher, labels, torch.zeros(3, dtype=torch.bool))
            assert none == {}
            return
        backward(terms)
        assert any(t.grad is not None and t.grad[1].any() for t in tensors(student).values())
        if not variant.get("mask_ignore"):
            all_close(terms, forward(prefixed, student, teacher, torch.zeros_like(labels)))

    # Parameters and state.

    def test_every_parameter_trains(self, variant: Hyper) -> None:
        method = self.build(variant)
        groups = method.parameter_groups()
        assert len({group.name for group in groups}) == len(groups)
        assert all(group.params and group.lr_mult > 0 for group in groups)
        own = [id(p) for group in groups for p in group.params]
        optimizer = method.adversary_optimizer()
        rivals = [id(p) for group in optimizer.param_groups for p in group["params"]] if optimizer else []
        trained = [*own, *rivals]
        assert len(set(trained)) == len(trained), "a parameter is in two groups"
        names = {id(p): name for name, p in method.named_parameters() if p.requires_grad}
        assert set(trained) == set(names)
        student, teacher, labels = self.batch(method)
        backward(forward(method, student, teacher, labels))
        for group in groups:
            for parameter in group.params:
                assert parameter.grad is not None and parameter.grad.isfinite().all(), names[id(parameter)]

    def test_adversary(self, variant: Hyper) -> None:
        method = self.build(variant)
        student, teacher, _ = self.batch(method)
        terms = method.adversary(student.logits.detach(), teacher.logits)
        optimizer = method.adversary_optimizer()
        assert (terms is None) == (optimizer is None)
        if terms is None or optimizer is None:
            return
        backward(terms)
        assert student.logits.grad is None
        for group in optimizer.param_groups:
            assert all(p.grad is not None and p.grad.isfinite().all() for p in group["params"])

    def test_state_dict_continues(self, variant: Hyper) -> None:
        first = self.build(variant)
        self.steps(first, range(2))
        second = self.build(variant, seed=99)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        for expected, actual in zip(self.steps(first, range(2, 4)), self.steps(second, range(2, 4)), strict=True):
            all_close(actual, expected, rtol=1e-12)

    def steps(self, method: Method, steps: range) -> list[dict[str, Tensor]]:
        """Train the method's own parameters, and its adversary, with fresh optimisers without momentum."""
        groups = [{"params": group.params} for group in method.parameter_groups()]
        own = torch.optim.SGD(groups, lr=1e-3) if groups else None
        made = method.adversary_optimizer()
        rival = torch.optim.SGD([{"params": group["params"]} for group in made.param_groups], lr=1e-3) if made else None
        seen = []
        for step in steps:
            student, teacher, labels = self.batch(method, seed=step + 5)
            method.zero_grad()
            terms = forward(method, student, teacher, labels, step=step)
            backward(terms)
            if own is not None:
                own.step()
            rivals = method.adversary(student.logits.detach(), teacher.logits)
            if rival is not None and rivals is not None:
                rival.zero_grad()
                backward(rivals)
                rival.step()
            method.after_step(context(torch.ones(len(labels), dtype=torch.bool), step))
            seen.append({name: term.detach() for name, term in {**terms, **(rivals or {})}.items()})
        return seen

    # Bad input.

    def test_unknown_hyper_parameter(self) -> None:
        with pytest.raises(SegkdError, match=f"unknown hyper-parameter of {self.name} 'temprature'"):
            self.build({"temprature": 2.0})

    def test_missing_taps(self, variant: Hyper) -> None:
        needs = self.build(variant).needs
        if not needs.student_taps | needs.teacher_taps:
            pytest.skip("needs no taps")
        full = self.networks("same")[0].info
        bare = replace(full, channels={})
        for side, taps in (("student", needs.student_taps), ("teacher", needs.teacher_taps)):
            infos = {"student": full, "teacher": full, side: bare}
            with pytest.raises(SegkdError, match=f"needs the taps {', '.join(sorted(taps))}.*this {side}"):
                build_method(self.name, **infos, num_classes=full.num_classes, **variant)
