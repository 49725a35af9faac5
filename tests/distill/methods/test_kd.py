from __future__ import annotations

import math

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.output import SegOutput
from tests.distill.methods.base import BaseMethodTester
from tests.distill.methods.networks import context
from tests.golden_values import golden

GOLDEN = golden("kd")


class TestLogitKD(BaseMethodTester):
    name = "kd"
    variants = ({}, {"temperature": 4.0, "mask_ignore": True}, {"reduction": "ifvd", "loss_weight": 10.0})

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("case", list(GOLDEN.cases))
    def test_golden(self, case: str, dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
        hyper = GOLDEN.case(case)["hyper"]
        reduction = "ifvd" if "reduction" in hyper else "mean"
        method = self.build({"temperature": hyper["temperature"], "reduction": reduction}, "same")
        terms = method(SegOutput(s, None, {}), SegOutput(t, None, {}), None, context(torch.zeros(2, dtype=torch.bool)))
        assert list(terms) == ["logits"]
        GOLDEN.check(GOLDEN.case(case), terms["logits"], s)

    def test_by_hand(self) -> None:
        # Teacher (1/4, 3/4), student (1/2, 1/2) in the left pixel, equal in the right one, which alone has a label.
        t = torch.tensor([[[[0.0, 2.0]], [[math.log(3), 2.0]]]])
        outputs = SegOutput(torch.zeros_like(t), None, {}), SegOutput(t, None, {})
        labels = torch.tensor([[[255, 0]]])
        ctx = context(torch.tensor([True]))
        divergence = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
        plain = self.build({"loss_weight": 3.0}, "same")(*outputs, labels, ctx)
        assert plain["logits"].item() == pytest.approx(3 * divergence / 2, rel=1e-6)
        masked = self.build({"mask_ignore": True}, "same")
        assert masked(*outputs, labels, ctx)["logits"].item() == 0
        assert masked(*outputs, 0 * labels, ctx)["logits"].item() == pytest.approx(divergence / 2, rel=1e-6)
        unlabelled = context(torch.tensor([False]))
        assert masked(*outputs, labels, unlabelled)["logits"].item() == pytest.approx(divergence / 2, rel=1e-6)

    def test_mask_needs_labels(self) -> None:
        method = self.build({"mask_ignore": True})
        student, teacher, _ = self.batch(method)
        with pytest.raises(SegkdError, match="mask_ignore needs the labels"):
            method(student, teacher, None, context(torch.ones(3, dtype=torch.bool)))

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"temperature": 0}, "temperature must be a number above 0, got 0"),
            ({"temperature": "hot"}, "temperature must be a number above 0, got 'hot'"),
            ({"loss_weight": -1}, "loss_weight must be a number of at least 0, got -1"),
            ({"loss_weight": float("nan")}, "loss_weight must be a number of at least 0, got nan"),
            ({"reduction": "meann"}, "unknown value of reduction 'meann'; did you mean 'mean'"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: dict[str, object], message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
