"""Several methods as one: ``--method cwd+brd@0.5``, or the ``methods`` list of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.methods import build_method, method_class
from segkd_distill.methods.base import Declares, Group, Method, Needs, StepContext
from segkd_distill.methods.parsing import WEIGHTINGS, MethodSpec, parse_methods
from segkd_distill.models.output import SegOutput, TapInfo


def weighted_methods(specs: Iterable[MethodSpec], *, published: bool) -> list[dict[str, dict[str, Any]]]:
    """Say for every method how it is weighted.

    Args:
        specs: as :func:`parse_methods` reads them.
        published: what a method gets that says neither ``weight`` nor ``balance``: its published terms as they are
            (``weight: 1``), or ``balance`` with its default share.

    Returns:
        One ``{name: hyper-parameters}`` per method, each with ``weight`` or ``balance``.

    Raises:
        SegkdError: as ``parse_methods``.
    """
    methods = []
    for name, hyper in parse_methods(specs):
        if not WEIGHTINGS & hyper.keys():
            hyper |= {"weight": 1.0} if published else {"balance": method_class(name).default_balance}
        methods.append({name: hyper})
    return methods


def build_composite(
    methods: Iterable[MethodSpec], *, student: TapInfo, teacher: TapInfo, num_classes: int
) -> Composite:
    """Build all methods of a recipe or a command line as one.

    Args:
        methods: as ``parse_methods`` reads them.
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.

    Raises:
        SegkdError: as ``parse_methods`` and ``build_method``.
    """
    built, shares = [], {}
    for name, hyper in parse_methods(methods):
        weight = hyper.pop("weight", 1.0)
        if "balance" in hyper:
            shares[name] = hyper.pop("balance")
        method = build_method(name, student=student, teacher=teacher, num_classes=num_classes, **hyper)
        built.append((name, weight, method))
    return Composite(built, shares)


class Composite(Method):
    """Methods side by side: their terms are named ``cwd/logits`` and multiplied by the method's weight.

    A method that needs labels sees the rows that have them, by the data or by the teacher (``ctx.pseudo_labels``), and
    adds no term when there is none; the others see all rows. An adversary's own terms are not weighted: the weight is
    what the student is charged.

    Args:
        methods: (name, weight, method), each name once.
        shares: method -> share of its gradient against the task's, for those that ``GradientBalance`` weights.

    Raises:
        SegkdError: for a name that comes twice.
    """

    def __init__(self, methods: Sequence[tuple[str, float, Method]], shares: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.shares = dict(shares or {})
        names = [name for name, _, _ in methods]
        if len(set(names)) < len(names):
            raise SegkdError(f"each method at most once, got {'+'.join(names)}")
        self.weights = {name: weight for name, weight, _ in methods}
        self.methods = nn.ModuleDict({name: method for name, _, method in methods})
        members = [method for _, _, method in methods]
        self.needs = Needs(
            student_taps=frozenset[str]().union(*(m.needs.student_taps for m in members)),
            teacher_taps=frozenset[str]().union(*(m.needs.teacher_taps for m in members)),
            labels=any(m.needs.labels for m in members),
        )
        self.declares = Declares(
            zero_at_identity=all(m.declares.zero_at_identity for m in members),
            masks_ignore=all(m.declares.masks_ignore for m in members),
            batch_symmetric=all(m.declares.batch_symmetric for m in members),
        )

    def members(self) -> list[tuple[str, Method]]:
        """(name, method) in the given order."""
        return [(name, method) for name, method in self.methods.items() if isinstance(method, Method)]

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """All terms, prefixed and weighted."""
        every = (student, teacher, labels, ctx)
        labelled = _labelled_rows(*every) if self.needs.labels else None
        terms = {}
        for name, method in self.members():
            rows = labelled if method.needs.labels else every
            if rows is None:
                continue
            for term, value in method(*rows).items():
                terms[f"{name}/{term}"] = self.weights[name] * value
        return terms

    def parameter_groups(self) -> list[Group]:
        """All groups, their names prefixed."""
        return [
            replace(group, name=f"{name}/{group.name}")
            for name, method in self.members()
            for group in method.parameter_groups()
        ]

    def adversary(self, student_logits: Tensor, teacher_logits: Tensor) -> dict[str, Tensor] | None:
        """The terms of all adversaries, prefixed; None if there is no adversary."""
        terms = {}
        for name, method in self.members():
            for term, value in (method.adversary(student_logits, teacher_logits) or {}).items():
                terms[f"{name}/{term}"] = value
        return terms or None

    def adversary_optimizer(self) -> torch.optim.Optimizer | None:
        """One optimiser that drives those of all adversaries; None if there is no adversary."""
        made = {name: method.adversary_optimizer() for name, method in self.members()}
        optimizers = {name: optimizer for name, optimizer in made.items() if optimizer is not None}
        return JointOptimizer(optimizers) if optimizers else None

    def before_step(self, ctx: StepContext) -> None:
        """Forwarded to every method."""
        for _, method in self.members():
            method.before_step(ctx)

    def after_step(self, ctx: StepContext) -> None:
        """Forwarded to every method."""
        for _, method in self.members():
            method.after_step(ctx)

    def describe(self, pseudo_labels: float | None = None) -> str:
        """One line for the log: weights, and which methods act on rows without labels.

        Args:
            pseudo_labels: probability above which the teacher labels rows without labels, None if it labels none.
        """
        shown = [
            f"{name} ({f'balance {self.shares[name]:g}' if name in self.shares else f'weight {self.weights[name]:g}'})"
            for name, _ in self.members()
        ]
        everywhere = [name for name, method in self.members() if not method.needs.labels]
        labelled = [name for name, method in self.members() if method.needs.labels]
        where = "on labelled rows only"
        if pseudo_labels is not None:
            where = f"on all rows, with the teacher's labels above {pseudo_labels:g} on those without"
        return (
            f"methods: {', '.join(shown) or 'none'}; on all rows: {', '.join(everywhere) or 'none'}; "
            f"{where}: {', '.join(labelled) or 'none'}"
        )


Rows = tuple[SegOutput, SegOutput, Tensor | None, StepContext]


def _labelled_rows(student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext) -> Rows | None:
    """The rows that have labels, by the data or the teacher; None if no row has."""
    if ctx.pseudo_labels is not None:
        return student, teacher, ctx.pseudo_labels, replace(ctx, labelled=torch.ones_like(ctx.labelled))
    if labels is None or not bool(ctx.labelled.any()):
        return None
    if bool(ctx.labelled.all()):
        return student, teacher, labels, ctx
    rows = ctx.labelled.to(labels.device)

    def chosen(output: SegOutput) -> SegOutput:
        return SegOutput(
            logits=output.logits[rows],
            aux_logits=None if output.aux_logits is None else output.aux_logits[rows],
            taps={name: tap[rows] for name, tap in output.taps.items()},
        )

    return chosen(student), chosen(teacher), labels[rows], replace(ctx, labelled=ctx.labelled[ctx.labelled])


class JointOptimizer(torch.optim.Optimizer):
    """Several optimisers behind the interface of one; their parameter groups are shared, not copied.

    Args:
        optimizers: name -> optimiser; the names are the keys of the state dict.
    """

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        self.optimizers = dict(optimizers)
        super().__init__([group for optimizer in self.optimizers.values() for group in optimizer.param_groups], {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step every optimiser; a closure is run once, before."""
        if closure is not None:
            closure()
        for optimizer in self.optimizers.values():
            optimizer.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Name -> state of that optimiser."""
        return {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load what ``state_dict`` gave.

        Raises:
            SegkdError: if the names are others.
        """
        if set(state_dict) != set(self.optimizers):
            raise SegkdError(
                f"the state is of the adversaries {', '.join(sorted(state_dict))}, "
                f"this run has {', '.join(sorted(self.optimizers))}"
            )
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state_dict[name])
        self.param_groups = [group for optimizer in self.optimizers.values() for group in optimizer.param_groups]
