from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.methods import build_method
from segkd_distill.methods.attnfd import FEATURES, AttentionFeatureDistillation
from segkd_distill.methods.base import Method, StepContext
from segkd_distill.models.output import SegOutput, TapInfo
from segkd_distill.optim import limit_gradients
from tests.distill.methods.base import BaseMethodTester
from tests.distill.methods.networks import all_close, backward, context, forward, rebuilt
from tests.golden_values import golden, parameters

GOLDEN = golden("attnfd")
ALL = context(torch.ones(3, dtype=torch.bool))


def at(step: int, epoch: int) -> StepContext:
    return replace(ALL, step=step, epoch=epoch)


class TestAttentionFeatureDistillation(BaseMethodTester):
    name = "attnfd"
    variants = (
        {},
        {"mask_ignore": True, "norm": "sample"},
        {"teacher_cbam": "learned"},
        {"teacher_cbam": "random", "learn_channel_gates": False, "mask_ignore": True},
    )

    def built(self, **hyper: Any) -> AttentionFeatureDistillation:
        method = self.build(hyper)
        assert isinstance(method, AttentionFeatureDistillation)
        return method

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("teacher_cbam", ["random", "parameter_free"])
    def test_golden(self, teacher_cbam: str, dtype: torch.dtype) -> None:
        kind = "student" if teacher_cbam == "random" else "teacher"
        case = GOLDEN.case(f"three_levels_teacher_cbam_{kind}_mode")
        students = [torch.from_numpy(x).to(dtype).requires_grad_() for x in GOLDEN.inputs["student"]]
        teachers = [torch.from_numpy(x).to(dtype) for x in GOLDEN.inputs["teacher"]]
        strides = dict.fromkeys(FEATURES, 8)
        method = build_method(
            "attnfd",
            student=TapInfo({tap: s.shape[1] for tap, s in zip(FEATURES, students, strict=True)}, strides, 7),
            teacher=TapInfo({tap: t.shape[1] for tap, t in zip(FEATURES, teachers, strict=True)}, strides, 7),
            num_classes=7,
            teacher_cbam=teacher_cbam,
        ).to(dtype)
        assert isinstance(method, AttentionFeatureDistillation)
        manifests = [case["student_cbam_manifest"], case["connector_manifest"]]
        manifests += [case["teacher_cbam_manifest"]] * (teacher_cbam == "random")
        official = [tensor for manifest in manifests for tensor in parameters(manifest, dtype).values()]
        for parameter, tensor in zip(method.parameters(), official, strict=True):
            parameter.data = tensor.reshape(parameter.shape)
        logits = torch.zeros(2, 7, 8, 8, dtype=dtype)
        terms = method(
            SegOutput(logits, None, dict(zip(FEATURES, students, strict=True))),
            SegOutput(logits, None, dict(zip(FEATURES, teachers, strict=True))),
            None,
            context(torch.ones(2, dtype=torch.bool)),
        )
        assert list(terms) == list(FEATURES)
        loss = torch.stack(list(terms.values())).sum()
        GOLDEN.check_loss(case, loss)
        loss.backward()
        for key, s in zip(case["grad_keys"], students, strict=True):
            GOLDEN.check_grad(key, s.grad)

    def active(self, method: Method, step: int, epoch: int) -> set[str]:
        method.before_step(at(step, epoch))
        return {group.name for group in method.parameter_groups() if group.active(step)}

    def test_connectors_learn_in_the_first_epoch_only(self) -> None:
        method = self.built(teacher_cbam="learned")
        phase = {"student_cbam", "connectors", "teacher_cbam"}
        assert self.active(method, 0, 0) == self.active(method, 7, 0) == phase
        assert self.active(method, 99, 1) == {"student_cbam"}
        assert self.active(method, 3, 0) == phase, "a run that was resumed earlier"

    def test_a_short_epoch_does_not_make_a_short_phase(self) -> None:
        method = self.built()
        for total, phase in ((60, 20), (900, 300), (90_000, 300)):
            for step, learns in ((phase - 1, True), (phase, False)):
                method.before_step(replace(at(step, 7), total_steps=total))
                (active,) = [g.active(step) for g in method.parameter_groups() if g.name == "connectors"]
                assert active == learns, (total, step)

    def test_phase_of_so_many_steps(self) -> None:
        method = self.built(connector_iters=5, connector_phase="connectors_only")
        assert self.active(method, 4, 2) == {"connectors"}
        assert self.active(method, 5, 0) == {"student_cbam"}
        method = self.built(connector_iters=5, freeze_connectors=False)
        assert self.active(method, 5, 3) == {"student_cbam", "connectors"}

    def test_connectors_only_leaves_the_student_alone(self) -> None:
        for hyper in ({"connector_phase": "connectors_only"}, {"connector_phase": "connectors_only", "norm": "sample"}):
            method = self.built(**hyper)
            values = {}
            for epoch in (0, 1):
                student, teacher, labels = self.batch(method)
                terms = copy.deepcopy(method)(student, teacher, labels, at(99, epoch))
                values[epoch] = {name: term.detach() for name, term in terms.items()}
                backward(terms)
                assert [student.taps[tap].grad is not None for tap in FEATURES] == [epoch == 1] * 3
            all_close(values[0], values[1])

    def test_a_run_changes_what_it_should(self) -> None:
        method = self.built(teacher_cbam="learned", connector_phase="connectors_only", connector_iters=2)
        groups = method.parameter_groups()
        optimizer = torch.optim.SGD([{"params": group.params} for group in groups], lr=0.1, weight_decay=0.1)
        names = ("student_cbams", "connectors", "teacher_cbams")
        for step, changing in enumerate([["connectors", "teacher_cbams"]] * 2 + [["student_cbams"]] * 2):
            before = {name: [p.clone() for p in method.get_submodule(name).parameters()] for name in names}
            method.before_step(at(step, 0))
            optimizer.zero_grad()
            student, teacher, labels = self.batch(method, seed=step)
            backward(method(student, teacher, labels, at(step, 0)))
            limit_gradients(groups, step)
            optimizer.step()
            changed = []
            for name, old in before.items():
                moved = [
                    not torch.equal(a, b) for a, b in zip(old, method.get_submodule(name).parameters(), strict=True)
                ]
                assert all(moved) or not any(moved), f"{name} in step {step}"
                changed += [name] if all(moved) else []
            assert sorted(changed) == sorted(changing), step

    def test_what_learns(self) -> None:
        assert [group.name for group in self.built().parameter_groups()] == ["student_cbam", "connectors"]
        gates = ("channel_gate", "mlp")
        for learn in (True, False):
            method = self.built(learn_channel_gates=learn, teacher_cbam="random")
            trained = {id(p) for group in method.parameter_groups() for p in group.params}
            for name, parameter in method.named_parameters():
                expected = not name.startswith("teacher") and (learn or not any(gate in name for gate in gates))
                assert (id(parameter) in trained) == expected, name

    def test_batch_norm_couples_the_images_and_sample_does_not(self) -> None:
        bounds = {"batch": 2 * 4 / 3, "sample": 2 * 4}
        for norm, bound in bounds.items():
            method = self.built(norm=norm)
            student, teacher, labels = self.batch(method)
            terms = method(student, teacher, labels, ALL)
            assert all(0 < term.item() < bound for term in terms.values())

    def test_ignored_positions_of_the_teacher_do_not_matter(self) -> None:
        method = self.built(mask_ignore=True, teacher_cbam="random")
        student, teacher, labels = self.batch(method)
        labels[:, :32] = 255

        def elsewhere(_: str, x: Tensor) -> Tensor:
            top = torch.arange(x.shape[2]) < x.shape[2] // 2
            return torch.where(top[:, None], 9 * x.flip(0), x)

        expected = forward(copy.deepcopy(method), student, teacher, labels)
        all_close(forward(copy.deepcopy(method), student, rebuilt(teacher, elsewhere), labels), expected)

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"norm": "samples"}, "unknown value of norm 'samples'; did you mean 'sample'"),
            ({"teacher_cbam": "learnt"}, "unknown value of teacher_cbam 'learnt'; did you mean 'learned'"),
            ({"connector_phase": "both"}, "unknown value of connector_phase 'both'"),
            ({"connector_iters": 0}, "connector_iters must be a whole number of at least 1, got 0"),
            ({"connector_iters": True}, "connector_iters must be"),
            ({"loss_weight": -1}, "loss_weight must be a number of at least 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: dict[str, object], message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
