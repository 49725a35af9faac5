from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segkd.errors import SegkdError
from segkd_distill.losses import logit_kd
from segkd_distill.methods import build_method
from segkd_distill.methods.afdcd import AugmentationFreeContrast
from segkd_distill.models.output import SegOutput, TapInfo
from segkd_distill.optim import limit_gradients
from tests.distill.losses.test_masked_generator import check_grad, inputs_of, mask_noise, official_weights
from tests.distill.methods.base import BaseMethodTester
from tests.distill.methods.networks import backward, context, forward
from tests.golden_values import golden

GOLDEN = golden("afdcd")


class TestAugmentationFreeContrast(BaseMethodTester):
    name = "afdcd"
    variants = (
        {},
        {"mask": "centre", "mask_ignore": True, "enhanced": True, "patch": 2, "pool": 2, "temperature": 5.0},
        {"mask": "centre", "negatives": "spatial", "pool": 0, "groups": 3, "edges": "crop"},
        {"negatives": "channel", "pool": 0, "mask_ignore": True},
    )

    def built(self, **hyper: Any) -> AugmentationFreeContrast:
        method = self.build(hyper, hyper.pop("kind", "wide"))
        assert isinstance(method, AugmentationFreeContrast)
        return method

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    @pytest.mark.parametrize("case_id", list(GOLDEN.cases))
    def test_golden(self, case_id: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
        case = GOLDEN.case(case_id)
        hyper = case["hyper"]
        s, t = inputs_of(case, dtype)
        camvid = hyper["dataset"] == "camvid"
        method = build_method(
            "afdcd",
            student=TapInfo({"c4": 16}, {"c4": 8, "logits": 8}, 7),
            teacher=TapInfo({"c4": 32}, {"c4": 8, "logits": 8}, 7),
            num_classes=7,
            reconstruction_weight=1.0,
            contrast_weight=1.0,
            mask="random" if hyper["rand_mask"] else "centre",
            mask_ratio=hyper["mask_ratio"],
            enhanced=hyper["enhance_projector"],
            temperature=hyper["tau"],
            groups=hyper["M"],
            pool=0 if camvid else hyper["pool_size"],
            edges="crop" if camvid else "pad",
        ).to(dtype)
        assert isinstance(method, AugmentationFreeContrast)
        method.generator.load_state_dict(official_weights(case, dtype))
        noise = mask_noise(case, s) if hyper["rand_mask"] else None
        monkeypatch.setattr(torch, "rand", lambda *shape, device: noise)
        logits = torch.zeros(len(s), 7, 8, 8, dtype=dtype)
        outputs = (SegOutput(logits, None, {"c4": feature}) for feature in (s, t))
        terms = method(*outputs, None, context(torch.ones(len(s), dtype=torch.bool)))
        assert list(terms) == ["logits", "reconstruction", "contrast"]
        for kind, name in (("dis", "reconstruction"), ("ctr", "contrast")):
            GOLDEN.check_loss(case, terms[name], part=kind)
            (grad,) = torch.autograd.grad(terms[name], s, retain_graph=True)
            check_grad(case, kind, grad)

    def test_kd_is_included(self) -> None:
        method = self.built(kd_weight=0.5, kd_temperature=2.0)
        student, teacher, labels = self.batch(method)
        terms = forward(method, student, teacher, labels)
        expected = 0.5 * logit_kd(student.logits, teacher.logits, temperature=2.0)
        assert terms["logits"].item() == pytest.approx(expected.item(), rel=1e-12)

    def test_alignment(self) -> None:
        assert isinstance(self.built().generator.align, nn.Conv2d)
        assert isinstance(self.built(kind="same").generator.align, nn.Identity)

    def test_random_masks_come_from_the_global_generator(self) -> None:
        method = self.built()
        batch = self.batch(method)
        first, again, other = (forward(method, *batch, step=step)["reconstruction"].item() for step in (0, 0, 1))
        assert first == again != other

    def test_share_of_the_random_mask(self) -> None:
        torch.manual_seed(0)
        x = torch.zeros(4, 16, 100, 100)
        keep = self.built(mask_ratio=0.9)._keep(x)
        assert keep.shape == (4, 1, 100, 100)
        assert keep.float().mean().item() == pytest.approx(0.1, abs=0.01)
        assert not self.built(mask_ratio=1.0)._keep(x).any()
        assert self.built(mask_ratio=0.0)._keep(x).all()

    def test_gradient_is_clipped(self) -> None:
        method = self.built(reconstruction_weight=1.0)
        (group,) = method.parameter_groups()
        assert group.max_norm == 15
        backward(forward(method, *self.batch(method)))

        def norm() -> float:
            return float(np.sqrt(sum(p.grad.square().sum().item() for p in group.params if p.grad is not None)))

        assert norm() > 100
        limit_gradients([group], 0)
        assert norm() == pytest.approx(15, rel=1e-6)

    def test_weights_of_the_data_sets_are_hyper_parameters(self) -> None:
        for weights in AugmentationFreeContrast.weights_by_dataset.values():
            method = self.built(**weights)
            assert {name: getattr(method, name) for name in weights} == weights
        default = self.built()
        cityscapes = AugmentationFreeContrast.weights_by_dataset["cityscapes"]
        assert {name: getattr(default, name) for name in cityscapes} == cityscapes

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"mask": "center"}, "unknown value of mask 'center'; did you mean 'centre'"),
            ({"tap": "c5"}, "unknown value of tap 'c5'"),
            ({"negatives": "others"}, "unknown value of negatives 'others'"),
            ({"mask_ratio": 1.5}, "mask_ratio must be a share of at most 1, got 1.5"),
            ({"mask_ratio": -0.5}, "mask_ratio must be a number of at least 0"),
            ({"groups": 33}, "32 channels cannot be cut into 33 groups"),
            ({"temperature": 0}, "temperature must be a number above 0"),
            ({"max_norm": 0}, "max_norm must be a number above 0"),
            ({"kd_weight": "1"}, "kd_weight must be a number of at least 0"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: dict[str, object], message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
