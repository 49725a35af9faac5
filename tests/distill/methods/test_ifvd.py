from __future__ import annotations

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.losses import logit_kd
from segkd_distill.methods import build_method
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.methods.base import BaseMethodTester, Hyper
from tests.distill.methods.networks import context, forward
from tests.golden_values import golden

GOLDEN = golden("ifvd")
STRIDES = {"context": 4, "logits": 4}


class TestIntraClassVariation(BaseMethodTester):
    name = "ifvd"
    variants = (
        {},
        {"mask_ignore": True},
        {"kd_weight": 0.0},
        {"variation_weight": 20.0, "kd_weight": 1.0, "kd_reduction": "mean", "tap": "decoder"},
    )

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("case", ["official", "cirkd_repo"])
    def test_golden(self, case: str, dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
        method = build_method(
            "ifvd",
            student=TapInfo({"context": 16}, STRIDES, 7),
            teacher=TapInfo({"context": 32}, STRIDES, 7),
            num_classes=7,
            variation_weight=1.0,
            kd_weight=0.0,
        )
        logits = torch.zeros(2, 7, 16, 16, dtype=dtype)
        student, teacher = (SegOutput(logits, None, {"context": x}) for x in (s, t))
        terms = method(student, teacher, GOLDEN.tensor("labels"), context(torch.ones(2, dtype=torch.bool)))
        assert list(terms) == ["variation"]
        GOLDEN.check(GOLDEN.case(case), terms["variation"], s)
        GOLDEN.check_grad("g", s.grad)

    def test_kd_is_that_of_the_original(self) -> None:
        method = self.build({})
        student, teacher, labels = self.batch(method)
        terms = forward(method, student, teacher, labels)
        assert list(terms) == ["variation", "logits"]
        # 10 on the mean over elements, which is 10 / 5 classes on the mean over pixels.
        torch.testing.assert_close(terms["logits"], 2 * logit_kd(student.logits, teacher.logits), rtol=1e-12, atol=0)

    def test_ignored_pixels_stay_in_the_denominator_by_default(self) -> None:
        default, masked = self.build({}), self.build({"mask_ignore": True})
        student, teacher, labels = self.batch(default)
        share = (labels[:, ::8, ::8] != 255).double().mean()
        terms = [forward(method, student, teacher, labels)["variation"] for method in (default, masked)]
        assert 0.5 < share < 1
        torch.testing.assert_close(terms[0], terms[1] * share, rtol=1e-12, atol=0)

    def test_labels_are_needed(self) -> None:
        method = self.build({})
        assert method.needs.labels
        student, teacher, _ = self.batch(method)
        with pytest.raises(SegkdError, match="ifvd needs the labels"):
            method(student, teacher, None, context(torch.ones(3, dtype=torch.bool)))

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"kd_reduction": "sum"}, "unknown value of kd_reduction 'sum'"),
            ({"tap": "contexts"}, "unknown value of tap 'contexts'; did you mean 'context'"),
            ({"variation_weight": 0}, "variation_weight must be a number above 0"),
            ({"kd_weight": -1}, "kd_weight must be a number of at least 0"),
            ({"temperature": 0}, "temperature must be a number above 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: Hyper, message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
