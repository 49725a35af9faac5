from __future__ import annotations

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.losses import body_kd, class_edges, edge_kd
from segkd_distill.methods import build_method
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.methods.base import BaseMethodTester, Hyper
from tests.distill.methods.networks import context
from tests.golden_values import golden

GOLDEN = golden("bpkd_thirdparty")
LOGITS_ONLY = TapInfo({}, {"logits": 2}, 7)


class TestBoundaryPrivilegedDistillation(BaseMethodTester):
    name = "bpkd"
    variants = (
        {},
        {"mask_ignore": True, "temperature": 2.0, "class_weight": [1.0, 2.0, 3.0, 4.0, 5.0]},
        {"mask_ignore": True, "pre_mask": False, "post_mask": False, "kernel_px": 3},
        {"legacy_validity": True, "temperature": 4.0},
    )

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("term", ["edge", "body"])
    def test_golden(self, term: str, dtype: torch.dtype) -> None:
        hyper = GOLDEN.meta["hyper"]
        method = build_method(
            "bpkd",
            student=LOGITS_ONLY,
            teacher=LOGITS_ONLY,
            num_classes=7,
            edge_weight=1.0,
            body_weight=1.0,
            class_weight=hyper["alpha_edge"],
            kernel_px=hyper["edge_width"],
            temperature=hyper["temperature"],
            legacy_validity=True,
        )
        s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
        labels = GOLDEN.tensor("labels")
        terms = method(SegOutput(s, None, {}), SegOutput(t, None, {}), labels, context(torch.ones(2, dtype=torch.bool)))
        assert list(terms) == ["edge", "body"]
        GOLDEN.check_loss({"loss": GOLDEN.meta[f"loss_{term}"]}, terms[term])
        terms[term].backward()
        GOLDEN.check_grad(f"g_{term}", s.grad)

    def test_defaults(self) -> None:
        method = self.build({})
        student, teacher, labels = self.batch(method)
        terms = method(student, teacher, labels, context(torch.ones(3, dtype=torch.bool)))
        edges = class_edges(labels, 5, kernel_px=7, size=(8, 12))
        pair = student.logits, teacher.logits
        expected = {"edge": 50 * edge_kd(*pair, edges), "body": 20 * body_kd(*pair, edges)}
        assert list(terms) == list(expected)
        for name, value in expected.items():
            torch.testing.assert_close(terms[name], value, rtol=1e-12, atol=0)
        assert method.needs.labels and not method.needs.student_taps and not method.parameter_groups()

    def test_labels_are_needed(self) -> None:
        method = self.build({})
        student, teacher, _ = self.batch(method)
        with pytest.raises(SegkdError, match="bpkd needs the labels"):
            method(student, teacher, None, context(torch.ones(3, dtype=torch.bool)))

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"kernel_px": 6}, "kernel_px must be an odd number of at least 3, got 6"),
            ({"kernel_px": 7.0}, "kernel_px must be an odd number of at least 3, got 7.0"),
            ({"class_weight": [1.0, 2.0]}, "class_weight must be one number or 5, one per class; got 2"),
            ({"class_weight": [1.0, 2.0, -1.0, 1.0, 1.0]}, r"class_weight\[2\] must be a number of at least 0"),
            ({"class_weight": "2"}, "class_weight must be a number of at least 0"),
            ({"temperature": 0}, "temperature must be a number above 0"),
            ({"edge_weight": -1}, "edge_weight must be a number of at least 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: Hyper, message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
