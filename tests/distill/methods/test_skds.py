from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses import pairwise_affinity, pixel_cross_entropy
from segkd_distill.methods import build_method
from segkd_distill.methods.base import Method
from segkd_distill.methods.skds import StructuredDistillation
from segkd_distill.models.output import SegOutput, TapInfo
from tests.distill.losses.test_discriminator import HOLISTIC, close, official_weights
from tests.distill.methods.base import BaseMethodTester, Hyper
from tests.distill.methods.networks import backward, context, forward
from tests.golden_values import golden

GOLDEN = golden("skds")
LABELLED = context(torch.ones(2, dtype=torch.bool))
STRIDES = {"context": 8, "logits": 8}
NARROW = {"holistic": True, "discriminator_width": 2}
HOLISTIC_ALONE = {"holistic": True, "pixel_weight": 0.0, "pairwise_weight": 0.0}


def build(dtype: torch.dtype, **hyper: object) -> Method:
    student, teacher = TapInfo({"context": 16}, STRIDES, 7), TapInfo({"context": 32}, STRIDES, 7)
    return build_method("skds", student=student, teacher=teacher, num_classes=7, **hyper).to(dtype)


def output(logits: Tensor, feature: Tensor) -> SegOutput:
    return SegOutput(logits, None, {"context": feature})


class TestStructuredDistillation(BaseMethodTester):
    name = "skds"
    variants = (
        {},
        {"mask_ignore": True},
        {"pixel_weight": 0.0, "tap": "decoder", "window": 3},
        {"pixel_reduction": "skds", "scale": 0.25, "mask_ignore": True},
        {**NARROW, "mask_ignore": True},
        {**NARROW, **HOLISTIC_ALONE, "adversarial_loss": "wgan-gp", "discriminator_optimizer": "sgd"},
    )

    @pytest.fixture(params=[torch.float64, torch.float32], ids=str)
    def dtype(self, request: pytest.FixtureRequest) -> torch.dtype:
        found: torch.dtype = request.param
        return found

    @pytest.mark.parametrize(
        ("case", "hyper", "rtol"),
        [
            ("pixelwise", {"pixel_reduction": "skds", "pixel_weight": 1.0, "pairwise_weight": 0.0}, None),
            ("pixelwise", {"pixel_weight": 2.0, "pairwise_weight": 0.0}, None),  # 2 images
            ("cirkd_repo_pairwise", {"pixel_weight": 0.0, "pairwise_weight": 1.0}, None),
            ("pairwise_scale0.5", {"pixel_weight": 0.0, "pairwise_weight": 1.0, "scale": 0.5}, 1.2e-4),
            ("pairwise_scale0.25", {"pixel_weight": 0.0, "pairwise_weight": 1.0, "scale": 0.25}, 4e-6),
            ("pairwise_scale0.125", {"pixel_weight": 0.0, "pairwise_weight": 1.0, "scale": 0.125}, None),
        ],
    )
    def test_golden(self, case: str, hyper: Hyper, rtol: float | None, dtype: torch.dtype) -> None:
        logits, features = (GOLDEN.pair(f"{kind}_s", f"{kind}_t", dtype) for kind in ("logits", "feat"))
        student, teacher = output(logits[0], features[0]), output(logits[1], features[1])
        (term,) = build(dtype, **hyper)(student, teacher, None, LABELLED).values()
        recorded = GOLDEN.case(case)
        GOLDEN.check_loss(recorded, term, rtol=rtol)
        term.backward()
        GOLDEN.check_grad(recorded["grad_key"], (logits if case == "pixelwise" else features)[0].grad)

    def test_golden_holistic(self, dtype: torch.dtype) -> None:
        s, t = GOLDEN.pair("logits_s64", "logits_t64", dtype)
        weights = {f"discriminator.{name}": weight for name, weight in official_weights(dtype).items()}
        hyper = {**HOLISTIC_ALONE, "adversarial_loss": "wgan-gp", "holistic_weight": 1.0, "discriminator_weight": 1.0}
        method = build(dtype, **hyper)
        method.load_state_dict(weights, strict=False)
        terms = method(SegOutput(s, None, {}), SegOutput(t, None, {}), None, LABELLED)
        assert list(terms) == ["holistic"]
        close(terms["holistic"], HOLISTIC["G_loss_wgan"], dtype)
        terms["holistic"].backward()
        assert s.grad is not None
        close(s.grad.norm(), HOLISTIC["grad_l2"], dtype)
        GOLDEN.check_grad("g_holistic_logits_crop8", s.grad[..., :8, :8])
        assert all(p.grad is None for p in method.parameters())
        method.load_state_dict(weights, strict=False)  # the u of before
        terms = method.adversary(s.detach(), t) or {}
        assert list(terms) == ["discriminator", "penalty"]
        close(terms["discriminator"], HOLISTIC["D_loss_wgan_order_T_then_S"], dtype)

    def test_weights(self) -> None:
        method = self.build({})
        student, teacher, labels = self.batch(method)
        terms = forward(method, student, teacher, labels)
        assert list(terms) == ["pixel", "pairwise"]
        torch.testing.assert_close(terms["pixel"], 10 * pixel_cross_entropy(student.logits, teacher.logits))
        pairs = pairwise_affinity(student.taps["context"], teacher.taps["context"])
        torch.testing.assert_close(terms["pairwise"], 10 * pairs)

    def test_published_pixel_weight_is_batch_times_ours(self) -> None:
        method = self.build({"pairwise_weight": 0.0, "pixel_weight": 30.0})
        student, teacher, labels = self.batch(method)  # 3 images
        published = self.build({"pairwise_weight": 0.0, "pixel_reduction": "skds"})
        expected = forward(published, student, teacher, labels)["pixel"]
        torch.testing.assert_close(forward(method, student, teacher, labels)["pixel"], expected, rtol=1e-12, atol=0)

    def test_discriminator_learns_to_tell_teacher_from_student(self) -> None:
        for loss in ("hinge", "wgan-gp"):
            method = self.build({**NARROW, "adversarial_loss": loss, "discriminator_lr": 4e-3})
            assert isinstance(method, StructuredDistillation) and method.discriminator is not None
            optimizer = method.adversary_optimizer()
            assert optimizer is not None
            student, teacher, _ = self.batch(method)
            before = {name: value.clone() for name, value in method.state_dict().items()}
            first = None
            for _ in range(8):
                terms = method.adversary(student.logits.detach(), teacher.logits)
                assert terms is not None
                first = first or terms["discriminator"].item()
                optimizer.zero_grad()
                backward(terms)
                optimizer.step()
            assert first is not None and terms["discriminator"].item() < first
            unchanged = [name for name, value in method.state_dict().items() if torch.equal(value, before[name])]
            # Both means have it, with opposite signs.
            assert unchanged == ([] if loss == "hinge" else ["discriminator.score.bias"])

    def test_optimizers(self) -> None:
        adam = self.build(dict(NARROW)).adversary_optimizer()
        assert isinstance(adam, torch.optim.Adam)
        assert (adam.param_groups[0]["lr"], adam.param_groups[0]["betas"]) == (4e-4, (0.9, 0.99))
        sgd = self.build({**NARROW, "discriminator_optimizer": "sgd", "discriminator_lr": 1e-3}).adversary_optimizer()
        assert isinstance(sgd, torch.optim.SGD)
        assert (sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]) == (1e-3, 0.9)
        assert self.build({}).adversary_optimizer() is None and list(self.build({}).parameters()) == []

    def test_masked_adversary_sees_what_the_student_was_charged_for(self) -> None:
        hyper = {**NARROW, **HOLISTIC_ALONE, "mask_ignore": True}
        method = self.build(hyper)
        student, teacher, labels = self.batch(method)
        labels[1] = 255
        forward(method, student, teacher, labels)
        seen = method.adversary(student.logits.detach(), teacher.logits)
        twin = self.build(hyper)
        forward(twin, student, teacher, labels)
        changed = student.logits.detach().clone()
        changed[1] += 5
        assert seen == twin.adversary(changed, teacher.logits)
        forward(method, student, teacher, torch.full_like(labels, 255))
        assert method.adversary(student.logits.detach(), teacher.logits) is None

    @pytest.mark.parametrize(
        ("hyper", "message"),
        [
            ({"pixel_reduction": "sum"}, "unknown value of pixel_reduction 'sum'"),
            ({"tap": "contexts"}, "unknown value of tap 'contexts'; did you mean 'context'"),
            ({"adversarial_loss": "wgan"}, "unknown value of adversarial_loss 'wgan'; did you mean 'wgan-gp'"),
            ({"discriminator_optimizer": "adamw"}, "unknown value of discriminator_optimizer 'adamw'"),
            ({"scale": 0}, "scale must be above 0 and at most 1, got 0"),
            ({"window": 1.5}, r"window must be a whole number of at least 1, got 1\.5"),
            ({"pixel_weight": -1}, "pixel_weight must be a number of at least 0"),
            ({"holistic": True, "holistic_weight": 0}, "holistic_weight must be a number above 0"),
            ({"holistic": True, "discriminator_width": 1.5}, "discriminator_width must be a whole number"),
            ({"pixel_weight": 0, "pairwise_weight": 0}, "skds has no term"),
        ],
    )
    def test_bad_hyper_parameters(self, hyper: Hyper, message: str) -> None:
        with pytest.raises(SegkdError, match=message):
            self.build(hyper)
