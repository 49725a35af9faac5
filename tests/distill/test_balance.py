from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from segkd_distill.balance import EVERY_STEPS, FIRST_STEPS, MOMENTUM, SMALLEST_SHARE_OF_PEAK, GradientBalance


def weight() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, 2.0]))


def terms(parameter: Tensor, *, task: float = 1.0, method: float = 1.0) -> dict[str, Tensor]:
    """Gradients (3, 4) * task, of norm 5 * task, and (0, 1) * method, in two terms."""
    return {
        "task/ce": task * (3 * parameter[0] + 4 * parameter[1]),
        "kd/a": 0.75 * method * parameter[1],
        "kd/b": 0.25 * method * parameter[1],
        "cwd:fixed/x": parameter.sum(),
    }


def test_a_share_of_one_makes_the_norms_equal() -> None:
    parameter = weight()
    balance = GradientBalance({"kd": 1.0}, [parameter])
    scaled = balance(terms(parameter, method=10.0), step=0)
    assert balance.factors() == {"kd": pytest.approx(0.5)}  # 5 / 10
    (gradient,) = torch.autograd.grad(scaled["kd/a"] + scaled["kd/b"], parameter)
    assert gradient.norm().item() == pytest.approx(5.0)
    assert scaled["task/ce"].item() == 11 and scaled["cwd:fixed/x"].item() == 3


def test_the_share_scales_the_factor_and_zero_turns_the_method_off() -> None:
    parameter = weight()
    balance = GradientBalance({"kd": 0.0}, [parameter])
    assert balance(terms(parameter), step=0)["kd/a"].item() == 0
    balance = GradientBalance({"kd": 3.0}, [parameter])
    balance(terms(parameter), step=0)
    assert balance.factors() == {"kd": pytest.approx(15.0)}


def test_the_first_measurements_are_averaged_evenly_then_with_momentum() -> None:
    parameter = weight()
    balance = GradientBalance({"kd": 1.0}, [parameter])
    values = [1.0, 2.0, 6.0, 3.0, 8.0]
    for step, value in enumerate(values):
        balance(terms(parameter, task=value), step)
    assert len(values) == FIRST_STEPS
    assert balance.task_norm.item() == pytest.approx(5 * sum(values) / 5)
    balance(terms(parameter, task=9.0), FIRST_STEPS)  # no step of a measurement
    assert balance.task_norm.item() == pytest.approx(20)
    balance(terms(parameter, task=9.0), EVERY_STEPS)
    assert balance.task_norm.item() == pytest.approx(MOMENTUM * 20 + (1 - MOMENTUM) * 45)


def test_a_vanishing_gradient_is_not_blown_up_without_bound() -> None:
    parameter = weight()
    balance = GradientBalance({"kd": 1.0}, [parameter])
    balance(terms(parameter), step=0)
    for number in range(200):
        balance(terms(parameter, method=1e-9), EVERY_STEPS * number)
    assert balance.factors() == {"kd": pytest.approx(5 / SMALLEST_SHARE_OF_PEAK)}


@pytest.mark.parametrize("method", [0.0, math.inf, math.nan])
def test_a_norm_that_is_zero_or_not_finite_is_left_out(method: float) -> None:
    parameter = weight()
    balance = GradientBalance({"kd": 1.0}, [parameter])
    balance(terms(parameter, method=method), step=0)
    assert balance.factors() == {"kd": 0.0}
    balance(terms(parameter, method=2.0), step=1)
    balance(terms(parameter, method=method), step=2)
    assert balance.factors() == {"kd": pytest.approx(2.5)}


def test_a_batch_without_the_task_or_the_method_changes_nothing() -> None:
    parameter = weight()
    balance = GradientBalance({"kd": 1.0}, [parameter])
    balance(terms(parameter), step=0)
    before = balance.state_dict()["norms"].clone()
    without = terms(parameter, task=7.0)
    balance({"task/ce": without["task/ce"]}, step=1)
    balance({"kd/a": without["kd/a"], "task/ce": torch.zeros(())}, step=2)
    assert torch.equal(balance.norms[:1] > 0, before > 0) and balance.counts.tolist() == [2, 2]


def test_a_loss_scale_changes_no_factor() -> None:
    factors = []
    for scale in (1.0, 65536.0):
        parameter = weight()
        balance = GradientBalance({"kd": 1.0}, [parameter])
        balance(terms(parameter), step=0, loss_scale=scale)
        factors.append(balance.factors()["kd"])
    assert factors[0] == pytest.approx(factors[1])


def test_measuring_leaves_no_gradient_and_frozen_parameters_alone() -> None:
    parameter, frozen = weight(), weight().requires_grad_(False)
    balance = GradientBalance({"kd": 1.0}, [parameter, frozen])
    balance(terms(parameter), step=0)
    assert parameter.grad is None and list(balance.parameters()) == []


def test_the_state_is_restored_exactly() -> None:
    parameter = weight()
    balance, other = (GradientBalance({"kd": 1.0}, [parameter]) for _ in range(2))
    for step in range(3):
        balance(terms(parameter, task=1 / (step + 3), method=1 / 7), step)
    other.load_state_dict(balance.state_dict())
    for each in (balance, other):
        each(terms(parameter, task=0.1), step=3)
    assert balance.factors() == other.factors()
