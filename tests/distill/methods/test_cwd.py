from __future__ import annotations

import pytest
import torch
from torch import nn

from segkd.errors import SegkdError
from segkd_distill.methods import build_method
from segkd_distill.methods.cwd import ChannelWiseDistillation
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.methods.base import BaseMethodTester
from tests.distill.methods.networks import context
from tests.golden_values import from_recipe, golden

GOLDEN = golden("cwd")
LABELLED = context(torch.ones(2, dtype=torch.bool))


class TestChannelWiseDistillation(BaseMethodTester):
    name = "cwd"
    variants = (
        {},
        {"on": "both"},
        {"on": "features", "mask_ignore": True},
        {"on": "features", "tap": "context", "adapter": "conv_bn_relu", "mask_ignore": True},
    )

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize(
        ("case", "hyper"),
        [
            ("torchdistiller_logits_T4", {"logits_weight": 1.0}),
            ("torchdistiller_logits_T1", {"logits_weight": 1.0, "temperature": 1.0}),
            ("mmrazor_tau1_w5", {"logits_weight": 5.0, "temperature": 1.0}),
            ("mmrazor_tau4_w3", {}),
        ],
    )
    def test_golden_logits(self, case: str, hyper: dict[str, float], dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("logits_s", "logits_t", dtype)
        terms = self.build(hyper)(SegOutput(s, None, {}), SegOutput(t, None, {}), None, LABELLED)
        assert list(terms) == ["logits"]
        GOLDEN.check(GOLDEN.case(case), terms["logits"], s)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_golden_features(self, dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
        case = GOLDEN.case("cirkd_repo_feature_T4")
        method = build_method(
            "cwd",
            student=TapInfo({"decoder": 16}, {"decoder": 8, "logits": 8}, 7),
            teacher=TapInfo({"decoder": 32}, {"decoder": 8, "logits": 8}, 7),
            num_classes=7,
            on="features",
            feature_weight=1.0,
            legacy_divisor=True,
        ).to(dtype)
        method.load_state_dict({"adapter.weight": torch.from_numpy(from_recipe(case["adapter"]["recipe"]))})
        logits = torch.zeros(2, 7, 16, 16, dtype=dtype)
        terms = method(SegOutput(logits, None, {"decoder": s}), SegOutput(logits, None, {"decoder": t}), None, LABELLED)
        assert list(terms) == ["features"]
        GOLDEN.check(case, terms["features"], s)

    def test_legacy_divisor_is_the_ratio_of_the_widths(self) -> None:
        values = []
        for legacy in (False, True):
            method = self.build({"on": "features", "legacy_divisor": legacy})
            student, teacher, labels = self.batch(method)
            values.append(method(student, teacher, labels, context(torch.ones(3, dtype=torch.bool)))["features"])
        assert values[1].item() == pytest.approx(values[0].item() * 32 / 16, rel=1e-12)

    def test_adapters(self) -> None:
        def built(kind: str, **hyper: str) -> nn.Module:
            method = self.build({"on": "features", **hyper}, kind)
            assert isinstance(method, ChannelWiseDistillation)
            return method.adapter

        conv = built("wide")
        assert isinstance(conv, nn.Conv2d) and conv.bias is None and conv.weight.shape == (32, 16, 1, 1)
        assert isinstance(built("same"), nn.Identity)
        assert [type(m) for m in built("same", adapter="conv_bn_relu").children()] == [
            nn.Conv2d,
            nn.BatchNorm2d,
            nn.ReLU,
        ]
        assert self.build({}).parameter_groups() == []
        assert [g.name for g in self.build({"on": "both"}).parameter_groups()] == ["adapters"]

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"on": "feature"}, "unknown value of on 'feature'; did you mean 'features'"),
            ({"tap": "decoders"}, "unknown value of tap 'decoders'; did you mean 'decoder'"),
            ({"adapter": "linear"}, "unknown value of adapter 'linear'"),
            ({"temperature": -4}, "temperature must be a number above 0"),
            ({"feature_weight": "50"}, "feature_weight must be a number of at least 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: dict[str, object], message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
