from __future__ import annotations

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.losses import logit_kd, self_relation, semantic_boundary
from segkd_distill.methods import build_method
from segkd_distill.models.output import TapInfo
from tests.distill.methods.base import BaseMethodTester, Hyper
from tests.distill.methods.networks import all_close, context

STAGES = ("c1", "c2", "c3", "c4")
LABELLED = context(torch.ones(3, dtype=torch.bool))


class TestBoundaryRelationDistillation(BaseMethodTester):
    name = "brd"
    variants = (
        {},
        {"mask_ignore": True, "max_nodes": 30},
        {
            "mask_ignore": True,
            "stages": ["c2", "c4_pre"],
            "boundary_temperature": 0.5,
            "relation_on": "logits",
            "relation_temperature": 1.0,
            "temperature": 2.0,
        },
    )

    def test_defaults(self) -> None:
        method = self.build({})
        student, teacher, labels = self.batch(method)
        lists = [[output.taps[tap] for tap in STAGES] for output in (student, teacher)]
        expected = {
            "boundary": 10 * semantic_boundary(*lists),
            "relation": self_relation(student.taps["decoder"], teacher.taps["decoder"]),
            "logits": logit_kd(student.logits, teacher.logits),
        }
        all_close(method(student, teacher, labels, LABELLED), expected, rtol=1e-12)
        assert method.needs.student_taps == method.needs.teacher_taps == {*STAGES, "decoder"}
        assert not method.needs.labels and not method.parameter_groups()

    def test_weights_scale_the_terms(self) -> None:
        one = self.build({"boundary_weight": 1.0})
        student, teacher, labels = self.batch(one)
        terms = one(student, teacher, labels, LABELLED)
        other = self.build({"boundary_weight": 2.0, "relation_weight": 3.0, "kd_weight": 5.0})
        scaled = {name: factor * terms[name] for name, factor in zip(terms, (2.0, 3.0, 5.0), strict=True)}
        all_close(other(student, teacher, labels, LABELLED), scaled, rtol=1e-12)

    @pytest.mark.parametrize(
        ("hyper", "terms", "taps"),
        [
            ({"boundary_weight": 0.0}, ["relation", "logits"], {"decoder"}),
            ({"relation_weight": 0.0}, ["boundary", "logits"], set(STAGES)),
            ({"kd_weight": 0.0, "relation_on": "logits", "stages": ["c3"]}, ["boundary", "relation"], {"c3"}),
        ],
    )
    def test_a_term_of_weight_0_needs_no_taps(self, hyper: Hyper, terms: list[str], taps: set[str]) -> None:
        method = self.build(hyper)
        student, teacher, labels = self.batch(method)
        assert list(method(student, teacher, labels, LABELLED)) == terms
        assert method.needs.teacher_taps == taps

    def test_teacher_of_logits_only(self) -> None:
        bare = TapInfo({}, {"logits": 8}, 5)
        hyper = {"boundary_weight": 0.0, "relation_on": "logits"}
        assert not build_method("brd", student=bare, teacher=bare, num_classes=5, **hyper).needs.teacher_taps
        with pytest.raises(SegkdError, match="brd needs the taps c1, c2, c3, c4, decoder, which this student"):
            build_method("brd", student=bare, teacher=bare, num_classes=5)

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"stages": ["c5"]}, "unknown tap 'c5'"),
            ({"stages": []}, "taps of brd must be a list of at least 1"),
            ({"relation_on": "logit"}, "unknown value of relation_on 'logit'; did you mean 'logits'"),
            ({"max_nodes": 1}, "max_nodes must be a whole number of at least 2, got 1"),
            ({"max_nodes": 32.0}, "max_nodes must be a whole number"),
            ({"boundary_temperature": 0}, "boundary_temperature must be a number above 0"),
            ({"relation_temperature": -1}, "relation_temperature must be a number above 0"),
            ({"kd_weight": "1"}, "kd_weight must be a number of at least 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: Hyper, message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
