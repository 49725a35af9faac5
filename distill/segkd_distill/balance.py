"""Weights that follow the gradients: every method pulls on the student as hard as asked, measured against its task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

FIRST_STEPS = 5
"""Steps at the beginning of a run that are all measured."""
EVERY_STEPS = 50
"""Distance of the measurements after them: a measurement costs a backward pass for each method and one for the task."""
MOMENTUM = 0.8
"""Of the moving averages; the first measurements are averaged evenly."""
SMALLEST_SHARE_OF_PEAK = 0.01
"""A norm counts for at least this share of the largest one that was seen, so that a vanishing gradient is not blown up
without bound."""


class GradientBalance(nn.Module):
    """Factors on the terms of methods, so that each method's gradient has a given share of the task's.

    ``factor = share * |g_task| / |g_method|``: Euclidean norms over the student's parameters, ``g_method`` of the sum
    of the method's terms as published. Both are moving averages, measured in the first steps and then from time to
    time. A share of 1 means: the method pulls as hard as the labels. Published weights belong to one pair of networks,
    one crop and one schedule; a share carries over to others.

    Source: own; the idea of equal gradient norms is GradNorm's (Chen et al., ICML 2018, equation 1).

    Differs from GradNorm: the factors are computed and not learned, training rates play no part, and the task's own
    weight stays 1. docs/decisions/0011-balance.md compares them.

    The averages are buffers: a resumed run goes on with them exactly.

    Args:
        shares: method -> share of its gradient, at least 0.
        parameters: of the student; those that are not trained are left out.

    Attributes:
        task_norm: average norm of the task's gradient; nan before the first measurement.
        norms: average norm of each method's gradient, in the order of ``shares``; nan before the first measurement.
        peaks: largest norm of each method so far.
        counts: measurements that are in ``task_norm`` and, after it, in each of ``norms``.
    """

    task_norm: Tensor
    norms: Tensor
    peaks: Tensor
    counts: Tensor

    def __init__(self, shares: Mapping[str, float], parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        self.shares = dict(shares)
        self._parameters_of_student = tuple(p for p in parameters if p.requires_grad)  # a tuple hides them
        methods = len(self.shares)
        self.register_buffer("task_norm", torch.tensor(math.nan, dtype=torch.float64))
        self.register_buffer("norms", torch.full((methods,), math.nan, dtype=torch.float64))
        self.register_buffer("peaks", torch.zeros(methods, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(methods + 1, dtype=torch.int64))

    def forward(self, terms: Mapping[str, Tensor], step: int, *, loss_scale: float = 1.0) -> dict[str, Tensor]:
        """The terms, those of balanced methods multiplied by their factors; measures before, if it is time.

        Args:
            terms: ``NAME/TERM`` -> scalar with its graph; the task's terms are named ``task/...``.
            step: 0-based optimiser step.
            loss_scale: factor of a gradient scaler: half-precision gradients are measured under it.
        """
        if step < FIRST_STEPS or step % EVERY_STEPS == 0:
            self._measure(terms, loss_scale)

        factors = self.factors()
        return {name: value * factors.get(name.split("/")[0], 1.0) for name, value in terms.items()}

    def factors(self) -> dict[str, float]:
        """Method -> factor on its terms; 0 until task and method have been measured."""
        task = float(self.task_norm)
        factors = {}
        for index, (name, share) in enumerate(self.shares.items()):
            norm = max(float(self.norms[index]), SMALLEST_SHARE_OF_PEAK * float(self.peaks[index]))
            factors[name] = share * task / norm if norm > 0 and math.isfinite(task) else 0.0
        return factors

    def _measure(self, terms: Mapping[str, Tensor], loss_scale: float) -> None:
        """Take the norms of this step into the averages; one that is 0 or not finite is left out."""
        task = self._norm(terms, "task", loss_scale)
        if task is not None:
            self.task_norm.fill_(self._averaged(float(self.task_norm), task, 0))

        for index, name in enumerate(self.shares):
            norm = self._norm(terms, name, loss_scale)
            if norm is not None:
                self.norms[index] = self._averaged(float(self.norms[index]), norm, index + 1)
                self.peaks[index] = max(float(self.peaks[index]), norm)

    def _averaged(self, average: float, value: float, index: int) -> float:
        count = int(self.counts[index])
        self.counts[index] = count + 1
        kept = min(MOMENTUM, count / (count + 1))
        return value if count == 0 else kept * average + (1 - kept) * value

    def _norm(self, terms: Mapping[str, Tensor], name: str, loss_scale: float) -> float | None:
        """Norm of the gradient of one name's terms, None where there is no usable one."""
        own = [value for term, value in terms.items() if term.split("/")[0] == name and value.requires_grad]
        if not own:
            return None

        total = torch.stack(own).sum() * loss_scale
        gradients = torch.autograd.grad(total, self._parameters_of_student, retain_graph=True, allow_unused=True)
        squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
        norm = math.sqrt(float(torch.stack(squares).sum())) / loss_scale if squares else 0.0
        return norm if math.isfinite(norm) and norm > 0 else None
