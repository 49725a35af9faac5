"""What every model must hold; the tests of a backbone or head inherit it with a small configuration."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import ModelConfig, build_model

CLASSES = 5
HEIGHT_PX, WIDTH_PX = 45, 67


def small_image(dtype: torch.dtype = torch.uint8) -> Tensor:
    """(2, 3, 45, 67): sides that no stride divides."""
    pixels = torch.randint(0, 256, (2, 3, HEIGHT_PX, WIDTH_PX), generator=torch.Generator().manual_seed(3))
    return pixels.to(dtype)


class BaseModelTester:
    """Inherit, set ``config``, and all tests below run."""

    config: ModelConfig

    def build(self, seed: int = 0) -> Segmenter:
        torch.manual_seed(seed)
        return build_model(self.config, CLASSES)

    def trained(self) -> Segmenter:
        """A network whose normalisations and zero-initialised branches do something, in evaluation mode."""
        model = self.build()
        generator = torch.Generator().manual_seed(5)
        for name, tensor in model.state_dict().items():
            if name.endswith(("bn.weight", "bn1.weight", "bn2.weight", "bn3.weight", "running_var")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("bias", "running_mean")):
                tensor.uniform_(-0.2, 0.2, generator=generator)
        return model.eval()

    def test_taps_have_the_widths_and_strides_that_are_declared(self) -> None:
        model, info = self.build().eval(), self.build().tap_info()
        output = model(small_image(), frozenset(info.channels))
        assert set(output.taps) == set(info.channels)
        for name, tap in {**output.taps, "logits": output.logits}.items():
            width = info.num_classes if name == "logits" else info.channels[name]
            stride = info.strides[name]
            assert tap.shape == (2, width, -(-HEIGHT_PX // stride), -(-WIDTH_PX // stride)), name
        assert info.num_classes == CLASSES == output.logits.shape[1]

    def test_only_the_taps_asked_for(self) -> None:
        model = self.build().eval()
        assert model(small_image()).taps == {}
        assert list(model(small_image(), frozenset({"c4"})).taps) == ["c4"]

    def test_unknown_tap_is_refused(self) -> None:
        with pytest.raises(SegkdError, match="unknown tap 'c5'"):
            self.build()(small_image(), frozenset({"c5"}))

    def test_auxiliary_logits_only_in_training(self) -> None:
        model = self.build()
        auxiliary = model.train()(small_image()).aux_logits
        if self.config.auxiliary_channels is None:
            assert auxiliary is None
        else:
            stride = model.tap_info().strides["c3"]
            assert auxiliary.shape == (2, CLASSES, -(-HEIGHT_PX // stride), -(-WIDTH_PX // stride))
        assert model.eval()(small_image()).aux_logits is None

    def test_bytes_and_floats_give_the_same(self) -> None:
        model = self.trained()
        assert torch.equal(model(small_image()).logits, model(small_image(torch.float32)).logits)

    def test_weights_reload_into_another_instance(self) -> None:
        trained, other = self.trained(), self.build(seed=1).eval()
        assert not torch.equal(trained(small_image()).logits, other(small_image()).logits)
        other.load_state_dict(trained.state_dict(), strict=True)
        assert torch.equal(trained(small_image()).logits, other(small_image()).logits)

    def test_memory_format_does_not_matter(self) -> None:
        model = self.trained()
        expected = model(small_image()).logits
        model = model.to(memory_format=torch.channels_last)
        found = model(small_image().to(memory_format=torch.channels_last)).logits
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.detach().abs().max()))

    def test_initial_weights_follow_the_seed(self) -> None:
        first, again, other = (self.build(seed).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert not torch.equal(first["decode_head.conv_seg.weight"], other["decode_head.conv_seg.weight"])

    def test_normalisation_is_not_part_of_the_weights(self) -> None:
        assert {"mean", "std"}.isdisjoint(self.build().state_dict())

    def test_training_reaches_every_parameter_and_lowers_the_loss(self) -> None:
        model = self.build().train().to(memory_format=torch.channels_last)
        labels = torch.randint(0, CLASSES, (2, HEIGHT_PX, WIDTH_PX), generator=torch.Generator().manual_seed(7))
        image = small_image().to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)

        def loss() -> Tensor:
            torch.manual_seed(11)  # the same dropout every time
            output = model(image)
            total = F.cross_entropy(model.upsample(output.logits, labels.shape[1:]), labels)
            if output.aux_logits is not None:
                total = total + 0.4 * F.cross_entropy(model.upsample(output.aux_logits, labels.shape[1:]), labels)
            return total

        before = loss()
        before.backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []
        optimizer.step()
        assert float(loss().detach()) < float(before.detach())

    def test_configuration_survives_json(self) -> None:
        import json

        again = ModelConfig.from_dict(json.loads(json.dumps(self.config.to_dict())))
        assert again == self.config
        torch.manual_seed(0)
        shapes = {name: tensor.shape for name, tensor in build_model(again, CLASSES).state_dict().items()}
        assert shapes == {name: tensor.shape for name, tensor in self.build().state_dict().items()}
