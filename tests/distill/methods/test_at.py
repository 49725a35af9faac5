from __future__ import annotations

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.losses import attention_transfer
from segkd_distill.methods import build_method
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.methods.base import BaseMethodTester
from tests.distill.methods.networks import context
from tests.golden_values import golden

GOLDEN = golden("extras")


class TestAttentionTransfer(BaseMethodTester):
    name = "at"
    variants = ({}, {"taps": ["c2", "c3", "decoder"], "loss_weight": 1.0, "mask_ignore": True})

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_golden(self, dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
        method = build_method(
            "at",
            student=TapInfo({"c4": 16}, {"c4": 8, "logits": 8}, 7),
            teacher=TapInfo({"c4": 32}, {"c4": 8, "logits": 8}, 7),
            num_classes=7,
            loss_weight=1.0,
        )
        logits = torch.zeros(2, 7, 16, 16, dtype=dtype)
        outputs = [SegOutput(logits, None, {"c4": x}) for x in (s, t)]
        terms = method(*outputs, None, context(torch.ones(2, dtype=torch.bool)))
        assert list(terms) == ["c4"]
        GOLDEN.check(GOLDEN.case("AT"), terms["c4"], s)

    def test_one_term_per_tap(self) -> None:
        method = self.build({"taps": ["c1", "c4"], "loss_weight": 3.0})
        student, teacher, labels = self.batch(method)
        terms = method(student, teacher, labels, context(torch.ones(len(labels), dtype=torch.bool)))
        assert list(terms) == ["c1", "c4"]
        for tap, term in terms.items():
            expected = 3.0 * attention_transfer(student.taps[tap], teacher.taps[tap])
            torch.testing.assert_close(term, expected)
        assert method.parameter_groups() == []

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"taps": ["c5"]}, "unknown tap 'c5'"),
            ({"taps": []}, "taps of at must be a list of at least 1 different taps, got \\[\\]"),
            ({"taps": "c4"}, "taps of at must be a list of at least 1 different taps, got 'c4'"),
            ({"taps": ["c4", "c4"]}, "at least 1 different taps"),
            ({"loss_weight": True}, "loss_weight must be a number of at least 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: dict[str, object], message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
