from __future__ import annotations

import pytest
import torch
from torch import nn

from segkd.errors import SegkdError
from segkd_distill.methods import build_method
from segkd_distill.methods.fitnet import FitNet
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.methods.base import BaseMethodTester
from tests.distill.methods.networks import context
from tests.golden_values import from_recipe, golden

GOLDEN = golden("extras")


class TestFitNet(BaseMethodTester):
    name = "fitnet"
    variants = ({}, {"tap": "c4", "loss_weight": 10.0, "mask_ignore": True})

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_golden(self, dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("feat_s", "feat_t", dtype)
        case = GOLDEN.case("FitNet")
        method = build_method(
            "fitnet",
            student=TapInfo({"decoder": 16}, {"decoder": 8, "logits": 8}, 7),
            teacher=TapInfo({"decoder": 32}, {"decoder": 8, "logits": 8}, 7),
            num_classes=7,
        ).to(dtype)
        method.load_state_dict({"regressor.weight": torch.from_numpy(from_recipe(case["adapter"]))})
        logits = torch.zeros(2, 7, 16, 16, dtype=dtype)
        outputs = [SegOutput(logits, None, {"decoder": x}) for x in (s, t)]
        terms = method(*outputs, None, context(torch.ones(2, dtype=torch.bool)))
        assert list(terms) == ["hint"]
        GOLDEN.check(case, terms["hint"], s)

    def test_gradient_of_the_regressor(self) -> None:
        method = self.build({"loss_weight": 2.0})
        assert isinstance(method, FitNet) and isinstance(method.regressor, nn.Conv2d)
        student, teacher, labels = self.batch(method)
        s, t = student.taps["decoder"].detach(), teacher.taps["decoder"]
        ctx = context(torch.ones(len(labels), dtype=torch.bool))
        method(student, teacher, labels, ctx)["hint"].backward()
        residual = torch.einsum("oc,nchw->nohw", method.regressor.weight[:, :, 0, 0], s) - t
        expected = 2.0 * 2 * torch.einsum("nohw,nchw->oc", residual, s) / t.numel()
        grad = method.regressor.weight.grad
        assert grad is not None
        torch.testing.assert_close(grad[:, :, 0, 0], expected)

    def test_regressor(self) -> None:
        wide, same = self.build({}, "wide"), self.build({}, "same")
        assert isinstance(wide, FitNet) and isinstance(same, FitNet)
        assert isinstance(wide.regressor, nn.Conv2d) and wide.regressor.bias is None
        assert wide.regressor.weight.shape == (32, 16, 1, 1)
        assert isinstance(same.regressor, nn.Identity)
        assert same.parameter_groups() == []
        assert [group.name for group in wide.parameter_groups()] == ["adapters"]

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"tap": "decoders"}, "unknown value of tap 'decoders'; did you mean 'decoder'"),
            ({"loss_weight": -1}, "loss_weight must be a number of at least 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: dict[str, object], message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
