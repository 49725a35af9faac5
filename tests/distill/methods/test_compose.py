from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.methods.base import Declares, Group, Method, Needs, StepContext
from segkd_distill.methods.compose import Composite, JointOptimizer, build_composite, weighted_methods
from segkd_distill.models.output import SegOutput
from tests.distill.methods.networks import IGNORE, FakeNetwork, context, forward

NETWORK = FakeNetwork()


class Labelled(Method):
    """Terms that show which rows arrived; a parameter, an adversary and a record of the calls."""

    def __init__(self, *, labels: bool = True, tap: str = "c4", adversarial: bool = True) -> None:
        super().__init__()
        self.needs = Needs(frozenset({tap}), frozenset({"context"}), labels)
        self.declares = Declares(zero_at_identity=False, masks_ignore=True, batch_symmetric=False)
        self.scale = nn.Parameter(torch.ones(()))
        self.rival = nn.Parameter(torch.ones(()))
        self.adversarial = adversarial
        self.calls: list[str] = []
        self.seen: list[tuple[int, int, int, list[bool]]] = []
        self.labels: Tensor | None = None

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        assert labels is not None
        self.labels = labels
        self.seen.append((len(student.logits), len(teacher.taps["context"]), len(labels), ctx.labelled.tolist()))
        return {"rows": self.scale * len(student.logits), "sum": self.scale * student.logits.sum()}

    def parameter_groups(self) -> list[Group]:
        return [Group("adapters", [self.scale], lr_mult=2.0, max_norm=1.0, active=lambda step: step > 3)]

    def adversary(self, student_logits: Tensor, teacher_logits: Tensor) -> dict[str, Tensor] | None:
        return {"critic": self.rival * (student_logits - teacher_logits).sum()} if self.adversarial else None

    def adversary_optimizer(self) -> torch.optim.Optimizer | None:
        return torch.optim.Adam([self.rival], lr=0.1) if self.adversarial else None

    def before_step(self, ctx: StepContext) -> None:
        self.calls.append(f"before {ctx.step}")

    def after_step(self, ctx: StepContext) -> None:
        self.calls.append(f"after {ctx.step}")


def test_a_method_without_weight_or_balance_is_balanced_unless_published_weights_are_meant() -> None:
    specs = ["cwd+kd:0.5", {"ifvd": {"balance": 3}}]
    balanced = weighted_methods(specs, published=False)
    assert balanced == [{"cwd": {"balance": 1.0}}, {"kd": {"weight": 0.5}}, {"ifvd": {"balance": 3.0}}]
    assert weighted_methods(specs, published=True)[0] == {"cwd": {"weight": 1.0}}
    assert weighted_methods(balanced, published=True) == balanced


def built(specs: Iterable[Any]) -> Composite:
    return build_composite(specs, student=NETWORK.info, teacher=NETWORK.info, num_classes=5)


def test_terms_are_prefixed_and_weighted() -> None:
    student, teacher = (NETWORK.output(seed, 2, {"decoder"}) for seed in (1, 2))
    labels = NETWORK.labels(3, 2)
    alone = forward(built([{"cwd": {"on": "both"}}]), student, teacher, labels)
    both = forward(built([{"cwd": {"on": "both", "weight": 0.5}}, "kd:2"]), student, teacher, labels)
    assert list(both) == ["cwd/logits", "cwd/features", "kd/logits"]
    assert both["cwd/logits"].item() == pytest.approx(0.5 * alone["cwd/logits"].item(), rel=1e-12)
    assert both["cwd/features"].item() == pytest.approx(0.5 * alone["cwd/features"].item(), rel=1e-12)
    kd = forward(built(["kd"]), student, teacher, labels)
    assert both["kd/logits"].item() == pytest.approx(2 * kd["kd/logits"].item(), rel=1e-12)


def test_unknown_hyper_parameter_is_refused() -> None:
    with pytest.raises(SegkdError, match="unknown hyper-parameter of kd 'temprature'; did you mean 'temperature'"):
        built([{"kd": {"temprature": 2.0}}])


def test_needs_and_declares_are_merged() -> None:
    composite = Composite([("a", 1.0, Labelled(labels=False)), ("b", 1.0, Labelled(tap="c2"))])
    assert composite.needs == Needs(frozenset({"c4", "c2"}), frozenset({"context"}), True)
    assert composite.declares == Declares(zero_at_identity=False, masks_ignore=True, batch_symmetric=False)
    assert built(["kd", "cwd"]).needs == Needs()
    assert built(["kd"]).declares == Declares()


def test_names_are_unique() -> None:
    with pytest.raises(SegkdError, match=r"at most once, got a\+a"):
        Composite([("a", 1.0, Labelled()), ("a", 1.0, Labelled())])


def test_rows_without_labels_reach_only_methods_that_read_no_labels() -> None:
    reads, ignores = Labelled(), Labelled(labels=False)
    composite = Composite([("reads", 1.0, reads), ("ignores", 1.0, ignores)])
    student, teacher = NETWORK.output(1, 3, {"c4"}), NETWORK.output(2, 3, {"context"})
    labels = NETWORK.labels(3, 3)
    labels[1] = IGNORE
    terms = forward(composite, student, teacher, labels, torch.tensor([True, False, True]))
    assert reads.seen == [(2, 2, 2, [True, True])]
    assert ignores.seen == [(3, 3, 3, [True, False, True])]
    assert terms["reads/rows"].item() == 2 and terms["ignores/rows"].item() == 3
    torch.testing.assert_close(terms["reads/sum"], student.logits[[0, 2]].sum())

    terms = forward(composite, student, teacher, labels, torch.zeros(3, dtype=torch.bool))
    assert set(terms) == {"ignores/rows", "ignores/sum"}
    forward(composite, student, teacher, labels)
    assert reads.seen[1:] == [(3, 3, 3, [True, True, True])]


def test_describe() -> None:
    composite = Composite([("reads", 0.5, Labelled()), ("ignores", 1.0, Labelled(labels=False))])
    assert composite.describe() == (
        "methods: reads (weight 0.5), ignores (weight 1); on all rows: ignores; on labelled rows only: reads"
    )
    assert built(["kd"]).describe() == "methods: kd (weight 1); on all rows: kd; on labelled rows only: none"
    assert "kd (balance 2)" in built(["kd@2"]).describe()
    assert "with the teacher's labels above 0.5 on those without: reads" in composite.describe(0.5)


def test_pseudo_labels_give_every_row_labels() -> None:
    reads = Labelled()
    composite = Composite([("reads", 1.0, reads)])
    student, teacher, labels = (*(NETWORK.output(seed, 3, {"c4", "context"}) for seed in (1, 2)), NETWORK.labels(3, 3))
    guessed = labels.clone()
    guessed[1] = 4
    ctx = StepContext(0, 1, 0, 255, torch.tensor([True, False, True]), pseudo_labels=guessed)
    composite(student, teacher, labels, ctx)
    assert reads.seen == [(3, 3, 3, [True, True, True])]
    assert reads.labels is guessed


def test_groups_and_steps_are_forwarded() -> None:
    first, second = Labelled(), Labelled()
    composite = Composite([("a", 1.0, first), ("b", 1.0, second)])
    groups = composite.parameter_groups()
    assert [group.name for group in groups] == ["a/adapters", "b/adapters"]
    assert groups[1].params[0] is second.scale
    assert (groups[0].lr_mult, groups[0].max_norm, groups[0].active(3), groups[0].active(4)) == (2.0, 1.0, False, True)
    ctx = context(torch.ones(1, dtype=torch.bool), step=7)
    composite.before_step(ctx)
    composite.after_step(ctx)
    assert first.calls == second.calls == ["before 7", "after 7"]
    assert set(composite.state_dict()) == {f"methods.{n}.{p}" for n in "ab" for p in ("scale", "rival")}


def test_no_adversary() -> None:
    composite = Composite([("a", 1.0, Labelled(adversarial=False))])
    assert composite.adversary(torch.zeros(1), torch.zeros(1)) is None
    assert composite.adversary_optimizer() is None


def rivals() -> tuple[list[Labelled], Composite, torch.optim.Optimizer]:
    members = [Labelled(), Labelled(adversarial=False), Labelled()]
    composite = Composite([(name, 0.5, member) for name, member in zip("abc", members, strict=True)])
    optimizer = composite.adversary_optimizer()
    assert optimizer is not None
    return members, composite, optimizer


def rival_step(composite: Composite, optimizer: torch.optim.Optimizer) -> None:
    terms = composite.adversary(torch.full((2,), 3.0), torch.full((2,), 1.0))
    assert terms is not None
    optimizer.zero_grad()
    sum(terms.values(), torch.zeros(())).backward()
    optimizer.step()


def test_adversaries_train_side_by_side() -> None:
    members, composite, optimizer = rivals()
    terms = composite.adversary(torch.full((2,), 3.0), torch.full((2,), 1.0))
    # 1 * (2 + 2), not halved by the weight 0.5.
    assert terms is not None and {name: term.item() for name, term in terms.items()} == {
        "a/critic": 4.0,
        "c/critic": 4.0,
    }
    rival_step(composite, optimizer)
    # Adam's first step is the learning rate.
    assert [member.rival.item() for member in members] == pytest.approx([0.9, 1.0, 0.9])
    optimizer.param_groups[1]["lr"] = 0.2
    rival_step(composite, optimizer)
    assert [member.rival.item() for member in members] == pytest.approx([0.8, 1.0, 0.7], abs=1e-6)


def test_adversary_optimizer_resumes() -> None:
    members, composite, optimizer = rivals()
    rival_step(composite, optimizer)
    others, again, resumed = rivals()
    again.load_state_dict(composite.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    resumed.param_groups[0]["lr"] = optimizer.param_groups[0]["lr"] = 0.05
    for _ in range(2):
        rival_step(composite, optimizer)
        rival_step(again, resumed)
    assert [member.rival.item() for member in members] == [member.rival.item() for member in others]
    assert members[0].rival.item() != members[2].rival.item()
    with pytest.raises(SegkdError, match="the state is of the adversaries a, c, this run has a"):
        JointOptimizer({"a": torch.optim.Adam([others[0].rival])}).load_state_dict(optimizer.state_dict())


def test_joint_optimizer_runs_a_closure_once() -> None:
    _, _, optimizer = rivals()
    calls: list[int] = []
    optimizer.step(lambda: calls.append(1) or 0.0)  # type: ignore[func-returns-value]
    assert calls == [1]
