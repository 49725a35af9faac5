"""Optimiser, its parameter groups, and the learning rate of each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from segkd.errors import SegkdError, unknown_name
from segkd.recipe import Named, TrainSection, split_named
from segkd_distill.methods.base import Group, Method
from segkd_distill.models.segmenter import Segmenter

# Name -> (class, options with their defaults; anything else is refused).
OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
    "adamw": (torch.optim.AdamW, {"betas": (0.9, 0.999), "eps": 1e-8}),
}


WARMUP_RATIO = 1e-6


@dataclass(frozen=True)
class Poly:
    """Polynomial decay with a linear warm-up, by step, as mmsegmentation 0.26 (mmcv 1.x) has them.

    A group's rate begins at ``lr`` times its ``lr_mult`` and ends at ``min_lr``, whatever its ``lr_mult``. The decay
    runs over all steps, those of the warm-up too; mmsegmentation 1.x has the same decay (``PolyLR`` with ``eta_min``)
    but lets it begin where the warm-up ends.

    Attributes:
        lr: base learning rate.
        total_steps: steps of the run.
        power: exponent of the decay.
        min_lr: where it ends.
        warmup_steps: steps of the warm-up, whose factor rises from ``WARMUP_RATIO`` in the first step to 1 in the
            first step behind it.
    """

    lr: float
    total_steps: int
    power: float
    min_lr: float
    warmup_steps: int

    def __call__(self, step: int, lr_mult: float = 1.0) -> float:
        """The learning rate of a group with this factor in a 0-based step."""
        base = self.lr * lr_mult
        decayed = (base - self.min_lr) * (1 - step / self.total_steps) ** self.power + self.min_lr
        if step >= self.warmup_steps:
            return decayed
        return decayed * (1 - (1 - step / self.warmup_steps) * (1 - WARMUP_RATIO))


def build_schedule(train: TrainSection) -> Poly:
    """The learning rate of a recipe.

    ``poly`` has the options ``power`` (0.9) and ``min_lr`` (a hundredth of ``train.lr``, which is mmsegmentation's
    1e-4 for its 0.01).

    Raises:
        SegkdError: for another schedule or option, or a ``min_lr`` above ``train.lr``.
    """
    name, options = split_named(train.schedule)
    if name != "poly":
        raise unknown_name("schedule", name, ["poly"])
    settings = _options("schedule poly", options, {"power": 0.9, "min_lr": train.lr / 100})
    if not 0 <= settings["min_lr"] <= train.lr:
        raise SegkdError(f"schedule poly: min_lr {settings['min_lr']:g} is not between 0 and train.lr {train.lr:g}")
    if settings["power"] <= 0:
        raise SegkdError(f"schedule poly: power must be above 0, got {settings['power']:g}")
    return Poly(train.lr, train.iters, settings["power"], settings["min_lr"], train.warmup_iters)


def optimizer_settings(part: Named) -> tuple[str, Callable[..., torch.optim.Optimizer], dict[str, Any]]:
    """Name, class and options of ``train.optimizer``.

    Raises:
        SegkdError: for an unknown optimiser or option, or an option's value of another kind.
    """
    name, options = split_named(part)
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    cls, defaults = OPTIMIZERS[name]
    return name, cls, _options(f"optimizer {name}", options, defaults)


def build_optimizer(train: TrainSection, student: Segmenter, method: Method | None) -> torch.optim.Optimizer:
    """One optimiser for the student and for what its method trains beside it.

    Groups carry ``name`` and ``lr_mult``; the heads' ``lr_mult`` is ``train.head_lr_mult``. Weight decay: SGD decays
    everything, as mmsegmentation's CNN recipes do; AdamW leaves out vectors (normalisation and biases), as its
    transformer recipes do.

    Raises:
        SegkdError: for an unknown optimiser or option.
    """
    name, cls, settings = optimizer_settings(train.optimizer)
    backbone = list(student.backbone.parameters())
    inside = {id(p) for p in backbone}
    heads = [p for p in student.parameters() if id(p) not in inside]
    groups = _split("backbone", backbone, 1.0, train.weight_decay, vectors_decay=name == "sgd")
    groups += _split("heads", heads, train.head_lr_mult, train.weight_decay, vectors_decay=name == "sgd")
    for group in method.parameter_groups() if method is not None else []:
        groups += _split(group.name, group.params, group.lr_mult, train.weight_decay, vectors_decay=name == "sgd")
    # One kernel for all parameters; with fp16 the loss scaler must see the gradients before it.
    return cls(groups, lr=train.lr, weight_decay=train.weight_decay, fused=train.amp != "fp16", **settings)


def set_learning_rate(optimizer: torch.optim.Optimizer, schedule: Callable[[int, float], float], step: int) -> None:
    """Give every group its learning rate of a 0-based step."""
    for group in optimizer.param_groups:
        group["lr"] = schedule(step, group["lr_mult"])


def limit_gradients(groups: list[Group], step: int) -> None:
    """Drop the gradients of groups that are not active in this step, and clip those that ask for it.

    A dropped gradient means no update at all: neither momentum nor weight decay.
    """
    for group in groups:
        if not group.active(step):
            for parameter in group.params:
                parameter.grad = None
        elif group.max_norm is not None:
            nn.utils.clip_grad_norm_(group.params, group.max_norm)


def _split(
    name: str, parameters: list[nn.Parameter], lr_mult: float, weight_decay: float, *, vectors_decay: bool
) -> list[dict[str, Any]]:
    """A group, or two if its vectors are not to decay."""
    if vectors_decay:
        parts = [(name, parameters, weight_decay)]
    else:
        parts = [
            (name, [p for p in parameters if p.ndim > 1], weight_decay),
            (f"{name}/no_decay", [p for p in parameters if p.ndim <= 1], 0.0),
        ]
    return [
        {"name": part, "params": params, "lr_mult": lr_mult, "weight_decay": decay}
        for part, params, decay in parts
        if params
    ]


def _options(kind: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults with what was given in their place, each of the default's kind."""
    for key, value in given.items():
        if key not in defaults:
            raise unknown_name(f"option of {kind}", key, defaults)
        numbers = value if isinstance(defaults[key], tuple) and isinstance(value, list | tuple) else [value]
        wanted = bool if isinstance(defaults[key], bool) else float | int
        length = len(defaults[key]) if isinstance(defaults[key], tuple) else 1
        wrong_kind = any(not isinstance(n, wanted) or isinstance(n, bool) != (wanted is bool) for n in numbers)
        if wrong_kind or len(numbers) != length:
            raise SegkdError(f"{kind}: {key} should look like {defaults[key]}, got {value!r}")
    return {**defaults, **given}
