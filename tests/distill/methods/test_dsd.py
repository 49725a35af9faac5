from __future__ import annotations

from typing import Any

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.losses import category_similarity, residual_attention
from segkd_distill.methods import build_method
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.methods.base import BaseMethodTester
from tests.distill.methods.networks import context
from tests.golden_values import golden

GOLDEN = golden("extras")


class TestDoubleSimilarityDistillation(BaseMethodTester):
    name = "dsd"
    variants = (
        {},
        {"mask_ignore": True, "category_weight": 1e6},
        {"pixel_weight": 0.0, "temperature": 1.0, "pool": 1, "mask_ignore": True},
        {"category_weight": 0.0, "taps": ["c3", "context"], "mask_ignore": True},
        {"category_weight": 0.0, "taps": ["c1", "c4"]},
    )

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_golden_category(self, dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
        info = TapInfo({}, {"logits": 8}, 7)
        hyper: dict[str, Any] = {"pixel_weight": 0.0, "category_weight": 1.0}
        method = build_method("dsd", student=info, teacher=info, num_classes=7, **hyper)
        terms = method(SegOutput(s, None, {}), SegOutput(t, None, {}), None, context(torch.ones(2, dtype=torch.bool)))
        assert list(terms) == ["category"]
        GOLDEN.check(GOLDEN.case("DSD_CSD_logits"), terms["category"], s)

    def test_terms_are_the_weighted_losses(self) -> None:
        method = self.build({})
        student, teacher, labels = self.batch(method)
        terms = method(student, teacher, labels, context(torch.ones(len(labels), dtype=torch.bool)))
        stages = [[output.taps[tap] for tap in ("c2", "c3", "c4")] for output in (student, teacher)]
        assert list(terms) == ["pixel", "category"]
        torch.testing.assert_close(terms["pixel"], 1000 * residual_attention(*stages))
        torch.testing.assert_close(terms["category"], 10 * category_similarity(student.logits, teacher.logits))
        assert method.parameter_groups() == []

    def test_a_weight_of_zero_drops_the_taps(self) -> None:
        assert self.build({"pixel_weight": 0.0}).needs.student_taps == frozenset()
        assert self.build({"category_weight": 0.0}).needs.teacher_taps == {"c2", "c3", "c4"}

    def test_mask_is_declared_only_where_nothing_is_resized(self) -> None:
        assert self.build({"mask_ignore": True}).declares.masks_ignore
        assert not self.build({"mask_ignore": True, "taps": ["c1", "c2"]}).declares.masks_ignore
        assert not self.build({"mask_ignore": True}, "coarse").declares.masks_ignore

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"taps": ["c4"]}, "taps of dsd must be a list of at least 2 different taps"),
            ({"pixel_weight": 0, "category_weight": 0}, "dsd needs a pixel_weight or a category_weight above 0"),
            ({"pixel_weight": -1}, "pixel_weight must be a number of at least 0"),
            ({"category_weight": "10"}, "category_weight must be a number of at least 0"),
            ({"temperature": 0}, "temperature must be a number above 0"),
            ({"pool": 1.5}, "pool must be a whole number of at least 1, got 1.5"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: dict[str, object], message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
