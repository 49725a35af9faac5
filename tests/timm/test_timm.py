"""timm's encoders under our heads, as students and teachers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from segkd.data.base import open_dataset
from segkd.errors import MissingExtra, SegkdError
from segkd_distill.models.adapters import timm as adapter
from segkd_distill.models.backbones.timm_encoder import TimmEncoder
from segkd_distill.models.checkpoints import load_backbone_weights, load_tensors
from segkd_distill.models.saved_model import load_run, save_model
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.sources import open_model
from segkd_distill.models.teachers.teacher import load_teacher
from segkd_distill.models.zoo import ModelConfig, build_model
from tests.distill.commands.command_line import segkd, small
from tests.distill.models.base import BaseModelTester, check_export, small_image
from tests.distill.models.teachers.test_teacher import labels

MOBILE = "timm:mobilenetv3_small_050+deeplabv3plus"


class TestMobileNet(BaseModelTester):
    config = ModelConfig(
        "mobile",
        "timm",
        "deeplabv3plus",
        {"encoder": "mobilenetv3_small_050", "output_stride": 16},
        {"channels": 16, "c1_channels": 8},
        auxiliary_channels=8,
    )

    def test_exported_graph_gives_the_same(self) -> None:
        check_export(self.trained(), (64, 96))


class TestConvNext(BaseModelTester):
    """Layer normalisation, and a head over all four stages."""

    config = ModelConfig(
        "convnext", "timm", "segformer", {"encoder": "convnext_atto", "output_stride": 32}, {"channels": 16}
    )

    def trained(self) -> Segmenter:
        return self.build().eval()

    def test_taps_have_the_widths_and_strides_that_are_declared(self) -> None:
        """Its strided layers have no padding: an odd size loses its last row and column."""
        model = self.build().eval()
        output = model(small_image()[:, :, :32, :64], frozenset({"c1", "c2", "c3", "c4"}))
        assert [tuple(output.taps[f"c{i}"].shape[1:]) for i in (1, 2, 3, 4)] == [
            (40, 8, 16),
            (80, 4, 8),
            (160, 2, 4),
            (320, 1, 2),
        ]


def test_features_are_timms() -> None:
    import timm

    torch.manual_seed(0)
    encoder = TimmEncoder(encoder="resnet10t", output_stride=16).eval()
    body = timm.create_model("resnet10t", features_only=True, output_stride=16).eval()
    body.load_state_dict(encoder.body.state_dict())
    image = torch.randn(1, 3, 64, 96)
    features, expected = encoder(image), body(image)
    assert encoder.strides == (4, 8, 16, 16) and encoder.widths == (64, 128, 256, 512)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(features[:4], expected[-4:], strict=True))


def test_features_of_channels_last_encoders_are_turned() -> None:
    torch.manual_seed(0)
    encoder = TimmEncoder(encoder="swin_tiny_patch4_window7_224").eval()
    shapes = [tuple(x.shape[1:]) for x in encoder(torch.randn(1, 3, 224, 224))[:4]]
    assert shapes == [(96, 56, 56), (192, 28, 28), (384, 14, 14), (768, 7, 7)]


def test_the_normalisation_is_that_of_the_published_weights() -> None:
    imagenet, _ = open_model(MOBILE, 3)
    assert imagenet.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    other, config = open_model("timm:mobilenetv3_large_100.miil_in21k+psp,stride=32", 3)
    assert other.mean.flatten().tolist() == [0, 0, 0] and other.std.flatten().tolist() == [255, 255, 255]
    assert config.mean == (0, 0, 0) and config.head_options == {"channels": 128}


def test_options_make_the_architecture() -> None:
    config, pretrained = adapter.parse("resnet10t+psp,stride=8,channels=24,aux=12,pretrained=true")
    assert pretrained and config.backbone_options == {"encoder": "resnet10t", "output_stride": 8}
    assert config.head_options == {"channels": 24} and config.auxiliary_channels == 12
    model = build_model(ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))), 3)
    assert model.tap_info().strides["c4"] == 8 and model.tap_info().channels["context"] == 24


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("mobilenetv3_small_050", "expected timm:ENCODER"),
        (
            "mobilnetv3_small_050+psp",
            "timm has no encoder 'mobilnetv3_small_050'; did you mean 'mobilenetv3_small_050'",
        ),
        ("mobilenetv3_small_050+pspp", "unknown head 'pspp'; did you mean 'psp'"),
        ("mobilenetv3_small_050+psp,strid=8", "unknown option of timm:mobilenetv3_small_050"),
        ("mobilenetv3_small_050+psp,stride=high", "stride=high has no meaning"),
        ("mobilenetv3_small_050+psp,pretrained=maybe", "pretrained=maybe has no meaning"),
        ("vit_tiny_patch16_224+psp,stride=32", "has 3 levels of features; four are needed"),
        ("repvit_m0_9+psp", "output stride 16"),
    ],
)
def test_bad_names_are_one_line(place: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message) as caught:
        open_model(f"timm:{place}", 3)
    assert "\n" not in str(caught.value)


def test_a_missing_timm_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"timm is not installed: pip install .*\[timm\]'"):
        open_model(MOBILE, 3)


def test_published_weights_that_cannot_be_downloaded_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SegkdError, match="timm did not get the weights of mobilenetv3_small_050") as caught:
        open_model(f"{MOBILE},pretrained=true", 3)
    assert "\n" not in str(caught.value)


def test_published_weights_reach_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    real = timm.create_model

    def with_file(name: str, pretrained: bool = False, **options: object) -> torch.nn.Module:
        """The download, from a file."""
        overlay = {"file": str(tmp_path / "w.pth")} if pretrained else None
        return real(name, pretrained=pretrained, pretrained_cfg_overlay=overlay, **options)

    torch.manual_seed(5)
    source = real("mobilenetv3_small_050")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(timm, "create_model", with_file)
    model, _ = open_model(f"{MOBILE},pretrained=true", 3)
    state = model.backbone.state_dict()
    assert torch.equal(state["body.conv_stem.weight"], source.state_dict()["conv_stem.weight"])
    assert torch.equal(state["body.blocks.5.0.conv.weight"], source.state_dict()["blocks.5.0.conv.weight"])


def test_teachers_need_weights_and_may_be_mapped(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="needs weights: nothing falls back to random weights"):
        load_teacher(MOBILE, None, labels("road", "sky", "car"))
    model, config = open_model(MOBILE, 3)
    save_model(tmp_path / "run", model, config, labels("road", "sky", "car"), (64, 96))
    run = load_run(tmp_path / "run")
    named = load_teacher(MOBILE, tmp_path / "run" / "student.safetensors", labels("sky", "road", "car"))
    image = small_image()
    assert torch.equal(named(image).logits, run.model(image).logits[:, [1, 0, 2]])


def test_a_student_is_trained_exported_and_teaches(streets: Path, tmp_path: Path) -> None:
    result = segkd("train", *small(streets, tmp_path / "teacher"), "--student", "timm:resnet10t+psp,channels=16,aux=8")
    assert result.exit_code == 0, result.output
    words = ["--student", f"{MOBILE},channels=16", "--teacher", tmp_path / "teacher", "--method", "kd+cwd+brd"]
    result = segkd("distill", *small(streets, tmp_path / "run"), *words, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"] == f"{MOBILE},channels=16"
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    assert card["model"]["backbone_options"] == {"encoder": "mobilenetv3_small_050", "output_stride": 16}
    run = load_run(tmp_path / "run")
    assert run.label_space == open_dataset(f"cityscapes:{streets}").labels
    assert set(load_tensors(tmp_path / "run" / "student.safetensors")) == set(run.model.state_dict())
    assert segkd("distill", "--resume", tmp_path / "run").exit_code == 0
    shown = segkd("eval", tmp_path / "run", "--data", f"cityscapes:{streets}", "--device", "cpu")
    assert shown.exit_code == 0, shown.output
    result = segkd("export", tmp_path / "run", "--imgsz", "64x96", "--reference", 2, "--no-teacher")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("encoder", ["tf_efficientnet_b0", "mobilenetv3_small_050", "resnet18", "convnext_atto"])
def test_a_file_with_timms_names_is_the_backbones_weights(encoder: str, tmp_path: Path) -> None:
    import timm

    torch.manual_seed(1)
    whole = timm.create_model(encoder, pretrained=False).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    model, _ = open_model(f"timm:{encoder}+fcn,stride=32,channels=8", 3)
    load_backbone_weights(model, tmp_path / "w.pth")
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = whole.forward_intermediates(image, intermediates_only=True)[-1]
        assert torch.allclose(model.backbone.eval()(image).c4, expected, atol=1e-5)


def test_a_file_of_a_port_is_matched_by_order_and_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """lukemelas' EfficientNet: the same tensors in the same order, a ``_`` before every name."""
    import timm

    torch.manual_seed(1)
    whole = timm.create_model("tf_efficientnet_b0", pretrained=False).eval()
    port = {f"_{name.replace('conv_dw', '_depthwise_conv')}": value for name, value in whole.state_dict().items()}
    torch.save(port, tmp_path / "w.pth")
    model, _ = open_model("timm:tf_efficientnet_b0+fcn,stride=32,channels=8", 3)
    load_backbone_weights(model, tmp_path / "w.pth")
    assert "matched by order and shape, not by name: conv_stem.weight <- _conv_stem.weight" in capsys.readouterr().err
    body, state = model.backbone.get_submodule("body").state_dict(), whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in body.items() if "num_batches" not in name)
