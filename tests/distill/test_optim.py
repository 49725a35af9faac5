from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from segkd.errors import SegkdError
from segkd.recipe import TrainSection
from segkd_distill.methods.base import Group, Method
from segkd_distill.models.zoo import build_model
from segkd_distill.optim import build_optimizer, build_schedule, limit_gradients, set_learning_rate


class Adapters(Method):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)

    def parameter_groups(self) -> list[Group]:
        return [Group("adapters", list(self.conv.parameters()), lr_mult=5.0)]


def test_poly_is_mmsegmentations() -> None:
    """lr 0.01, 40k, power 0.9, eta_min 1e-4 by the closed form; the default min_lr gives just that."""
    schedule = build_schedule(TrainSection(iters=40000, lr=0.01))
    assert schedule(0) == pytest.approx(0.01)
    assert schedule(20000) == pytest.approx(0.0099 * 0.5**0.9 + 1e-4)
    assert schedule(39999) == pytest.approx(0.0099 * (1 / 40000) ** 0.9 + 1e-4)


def test_warm_up_is_mmcvs() -> None:
    """mmcv 1.x: regular * (1 - (1 - step / warmup_iters) * (1 - 1e-6)), the decay running from the first step on."""
    part = TrainSection(iters=100, lr=1.0, warmup_iters=4, schedule={"poly": {"power": 1.0, "min_lr": 0.0}})
    schedule = build_schedule(part)
    expected = [1e-6, 0.99 * 0.25000075, 0.97 * 0.75000025, 0.96, 0.5]
    assert [schedule(step) for step in (0, 1, 3, 4, 50)] == pytest.approx(expected)


def test_min_lr_is_not_multiplied() -> None:
    """Segmentors with heads at ten times the rate: (0.1 - 0.001) * 0.5 + 0.001, and 0.001 for all at the end."""
    part = TrainSection(iters=100, lr=0.01, schedule={"poly": {"power": 1.0, "min_lr": 0.001}})
    schedule = build_schedule(part)
    assert [schedule(step, 10.0) for step in (0, 50, 100)] == pytest.approx([0.1, 0.0505, 0.001])
    assert [schedule(step, 1.0) for step in (0, 50, 100)] == pytest.approx([0.01, 0.0055, 0.001])


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("cosine", "unknown schedule 'cosine'"),
        ({"poly": {"pwer": 1}}, "did you mean 'power'"),
        ({"poly": {"min_lr": 1.0}}, "not between 0 and train.lr"),
        ({"poly": {"power": 0}}, "power must be above 0"),
        ({"poly": {"power": "high"}}, "should look like 0.9"),
    ],
)
def test_bad_schedules(schedule: Any, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        build_schedule(TrainSection(schedule=schedule))


def test_every_parameter_is_in_one_group_with_its_factor() -> None:
    student, method = build_model("quickstart-mv2", 3), Adapters()
    optimizer = build_optimizer(TrainSection(optimizer="adamw", head_lr_mult=10, weight_decay=0.3), student, method)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    every = [*student.parameters(), *method.parameters()]
    assert sorted(grouped) == sorted(map(id, every))
    factors = {group["name"]: (group["lr_mult"], group["weight_decay"]) for group in optimizer.param_groups}
    assert factors == {
        "backbone": (1, 0.3),
        "backbone/no_decay": (1, 0),
        "heads": (10, 0.3),
        "heads/no_decay": (10, 0),
        "adapters": (5, 0.3),
        "adapters/no_decay": (5, 0),
    }
    set_learning_rate(optimizer, lambda step, lr_mult: 0.01 * step * lr_mult, 10)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.1, 1.0, 1.0, 0.5, 0.5])


def test_sgd_decays_everything() -> None:
    part = TrainSection(optimizer={"sgd": {"momentum": 0.8, "nesterov": True}})
    optimizer = build_optimizer(part, build_model("quickstart-mv2", 3), None)
    assert [group["name"] for group in optimizer.param_groups] == ["backbone", "heads"]
    assert {group["weight_decay"] for group in optimizer.param_groups} == {5e-4}
    assert optimizer.param_groups[0]["momentum"] == 0.8 and optimizer.param_groups[0]["nesterov"]


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("adam", "unknown optimizer 'adam'"),
        ({"sgd": {"momentm": 0.9}}, "did you mean 'momentum'"),
        ({"sgd": {"nesterov": 1}}, "should look like False"),
        ({"adamw": {"betas": 0.9}}, "should look like"),
        ({"adamw": {"eps": True}}, "should look like"),
    ],
)
def test_bad_optimizers(optimizer: Any, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        build_optimizer(TrainSection(optimizer=optimizer), build_model("quickstart-mv2", 3), None)


def test_inactive_groups_are_not_updated_and_norms_are_clipped() -> None:
    sleeping, clipped, free = (nn.Parameter(torch.ones(4)) for _ in range(3))
    groups = [
        Group("sleeping", [sleeping], active=lambda step: step >= 5),
        Group("clipped", [clipped], max_norm=1.0),
        Group("free", [free]),
    ]
    optimizer = torch.optim.SGD([sleeping, clipped, free], lr=1.0, momentum=0.9, weight_decay=0.1)
    for parameter in (sleeping, clipped, free):
        parameter.grad = torch.full((4,), 3.0)  # norm 6
    limit_gradients(groups, 0)
    assert sleeping.grad is None
    torch.testing.assert_close(clipped.grad, torch.full((4,), 0.5), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(free.grad, torch.full((4,), 3.0))
    optimizer.step()
    assert (sleeping == 1).all() and sleeping not in optimizer.state  # neither decay nor momentum
    sleeping.grad = torch.ones(4)
    limit_gradients(groups, 5)
    assert sleeping.grad is not None
