from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segkd.errors import MissingExtra, SegkdError
from segkd_distill.models.adapters import hf, hf_folder
from segkd_distill.models.saved_model import load_run, save_model
from segkd_distill.models.segmenter import IMAGENET_MEAN, IMAGENET_STD, Segmenter
from segkd_distill.models.sources import open_foreign_teacher, open_model
from segkd_distill.models.teachers.teacher import load_teacher
from segkd_distill.models.zoo import MODELS, ModelConfig, build_model
from tests.distill.models.adapters.hugging_face import IMAGENET, SMALL, save_mobilenet, save_segformer
from tests.distill.models.base import small_image
from tests.distill.models.teachers.test_teacher import labels

NAMES = ("road", "sky", "car", "tree", "pole")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hf") / "segformer"
    save_segformer(place, NAMES)
    return place


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return save_segformer(tmp_path_factory.mktemp("hf") / "again", NAMES)


def normalised(image: Tensor, mean: Any = (0.485, 0.456, 0.406), std: Any = (0.229, 0.224, 0.225)) -> Tensor:
    """As Hugging Face's processors do it: to 0..1 first."""
    return (image / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def close(found: Tensor, expected: Tensor) -> bool:
    return float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_a_segformer_gives_what_transformers_gives_with_all_taps(folder: Path, original: Any) -> None:
    network, names = open_foreign_teacher(f"hf:{folder}", None, 5)
    assert names == NAMES and isinstance(network, Segmenter)
    taps = frozenset({"c1", "c2", "c3", "c4", "c4_pre", "context", "decoder"})
    assert set(network.tap_info().channels) == taps
    assert network.tap_info().channels["c3"] == 24 and network.tap_info().channels["decoder"] == 16
    image = small_image()
    with torch.no_grad():
        output = network.eval()(image, taps)
        theirs = original(normalised(image), output_hidden_states=True)
    assert close(output.logits, theirs.logits)
    for name, hidden in zip(("c1", "c2", "c3", "c4"), theirs.hidden_states, strict=True):
        assert close(output.taps[name], hidden), name


def test_transformers_is_not_needed_for_a_segformer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert isinstance(load_teacher(f"hf:{folder}", None, labels(*NAMES)), Segmenter)
    with pytest.raises(MissingExtra, match=r"huggingface_hub is not installed: pip install .*\[hf\]'"):
        hf_folder.find_folder("nvidia/segformer-b0")


def test_other_models_need_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_mobilenet(tmp_path, 5)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"transformers is not installed: pip install .*\[hf\]'"):
        open_foreign_teacher(f"hf:{tmp_path}", None, 5)


def test_classes_are_mapped_by_the_names_in_the_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = load_teacher(f"hf:{folder}", None, labels(*NAMES))
    shuffled = load_teacher(f"hf:{folder}", None, labels(*NAMES[::-1]))
    assert torch.equal(shuffled(small_image()).logits, plain(small_image()).logits.flip(1))
    assert f"teacher hf:{folder}: classes of the data <- classes of the teacher" in capsys.readouterr().err
    with pytest.raises(SegkdError, match=f"teacher hf:{folder} has 5 classes, the data 2: the data have no sky, tree"):
        load_teacher(f"hf:{folder}", None, labels("road", "car"))


def test_another_model_gives_its_logits(tmp_path: Path) -> None:
    model = save_mobilenet(tmp_path, 5)
    network, names = open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    assert names is None and network.tap_info().channels == {} and network.num_classes == 5
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        assert close(network.eval()(image).logits, model(normalised(image)).logits)
    with pytest.raises(SegkdError, match="logits alone, not the taps c1"):
        network(image, frozenset({"c1"}))


def test_images_that_a_model_cannot_take_are_one_line(tmp_path: Path) -> None:
    """DPT lays its patches out as a square."""
    from transformers import DPTConfig, DPTForSemanticSegmentation

    size = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    neck = {"neck_hidden_sizes": [8] * 4, "fusion_hidden_size": 8, "backbone_out_indices": [0, 1, 2, 3]}
    torch.manual_seed(0)
    DPTForSemanticSegmentation(DPTConfig(**size, **neck, image_size=64, num_labels=5)).save_pretrained(tmp_path)
    network, _ = open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    assert network.eval()(torch.zeros(1, 3, 64, 64)).logits.shape[:2] == (1, 5)
    with pytest.raises(SegkdError, match=r"a dpt, failed on images of 64x96 .* it was trained at 64: try --imgsz"):
        network(torch.zeros(1, 3, 64, 96))


def test_channels_in_reverse_order(tmp_path: Path) -> None:
    """As MobileViT: BGR, scaled to 0..1, not normalised."""
    model = save_mobilenet(tmp_path, 5, {"do_flip_channel_order": True, "do_rescale": True})
    network, _ = open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.no_grad():
        assert close(network.eval()(image).logits, model(image.flip(1) / 255).logits)


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        (IMAGENET, IMAGENET_MEAN, IMAGENET_STD),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, (127.5,) * 3, (127.5,) * 3),
        ({"do_normalize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, (0.0,) * 3, (255.0,) * 3),
        ({"image_mean": [1, 2, 3], "image_std": [4, 5, 6], "do_rescale": False}, (1, 2, 3), (4, 5, 6)),
        ({"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "rescale_factor": 1 / 128}, (0,) * 3, (128,) * 3),
    ],
)
def test_normalisation(tmp_path: Path, values: Any, mean: Any, std: Any) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    found = hf_folder.normalisation(tmp_path)
    assert found.mean == pytest.approx(mean) and found.std == pytest.approx(std) and not found.bgr


def test_without_a_preprocessor_it_is_imagenets_and_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hf_folder.normalisation(tmp_path) == hf_folder.Preprocessing(IMAGENET_MEAN, IMAGENET_STD)
    assert "has no preprocessor_config.json: ImageNet's mean and deviation are used" in capsys.readouterr().err
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5], "image_std": [0.5]}')
    with pytest.raises(SegkdError, match="malformed"):
        hf_folder.normalisation(tmp_path)


def test_a_processor_of_text_and_pixels_keeps_both_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text(
        json.dumps({"image_processor": {**IMAGENET, "image_mean": [0.5] * 3}})
    )
    assert hf_folder.normalisation(tmp_path).mean == pytest.approx((127.5,) * 3)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(IMAGENET))
    assert hf_folder.normalisation(tmp_path).mean == pytest.approx(IMAGENET_MEAN)


def test_class_names() -> None:
    assert hf_folder.class_names(
        {"id2label": {"1": "b", "0": "a", "10": "k", **{str(i): "x" for i in range(2, 10)}}}
    ) == (
        *("a", "b"),
        *("x",) * 8,
        "k",
    )
    assert hf_folder.class_names({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}) is None
    assert hf_folder.class_names({}) is None
    assert hf_folder.class_names({"id2label": {"0": "a", "2": "b"}}) is None


def test_published_sizes_keep_their_names() -> None:
    pixels = hf_folder.Preprocessing()
    assert hf.segformer_config({}, pixels).name == "segformer-b0"
    b4 = {"hidden_sizes": [64, 128, 320, 512], "depths": [3, 8, 27, 3], "decoder_hidden_size": 768}
    found = hf.segformer_config(b4, pixels)
    assert found.name == "segformer-b4"
    with torch.device("meta"):
        shapes, ours = (
            {name: tensor.shape for name, tensor in build_model(config, 19).state_dict().items()}
            for config in (found, MODELS["segformer-b4"])
        )
    assert shapes == ours
    assert hf.segformer_config(SMALL, pixels).name == "segformer"
    with pytest.raises(SegkdError, match="a SegFormer with strides"):
        hf.segformer_config({"strides": [2, 2, 2, 2]}, pixels)


def test_a_student_goes_on_from_the_weights(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = load_teacher(f"hf:{folder}", None, labels(*NAMES))
    same, config = open_model(f"hf:{folder}", 5)
    assert torch.equal(same.eval()(small_image()).logits, teacher(small_image()).logits)
    assert config == ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    capsys.readouterr()
    other, _ = open_model(f"hf:{folder}", 3)
    assert "the classifiers are for other classes" in capsys.readouterr().err
    taps = frozenset({"c4", "decoder"})
    fresh, old = other.eval()(small_image(), taps), teacher(small_image(), taps)
    assert fresh.logits.shape[1] == 3 and torch.equal(fresh.taps["decoder"], old.taps["decoder"])
    save_model(tmp_path / "run", other, config, labels("a", "b", "c"), (45, 67))
    again = load_run(tmp_path / "run")
    assert again.config == config and torch.equal(again.model(small_image()).logits, fresh.logits)


def test_an_encoder_alone_starts_a_student_but_teaches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import SegformerConfig, SegformerForImageClassification

    torch.manual_seed(0)
    model = SegformerForImageClassification(SegformerConfig(**SMALL)).eval()
    model.save_pretrained(tmp_path)
    with pytest.raises(SegkdError, match="has no segmentation head"):
        open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    student, _ = open_model(f"hf:{tmp_path}", 5)
    assert "the encoder's weights; the head starts fresh" in capsys.readouterr().err
    image = small_image()
    with torch.no_grad():
        found = student.eval()(image, frozenset({"c4"})).taps["c4"]
        expected = model.segformer(normalised(image)).last_hidden_state
    assert close(found, expected)


def test_what_cannot_teach(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"has its own weights; leave out w\.pth"):
        open_foreign_teacher(f"hf:{folder}", "w.pth", 5)
    with pytest.raises(SegkdError, match=r"has no config\.json"):
        open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    with pytest.raises(SegkdError, match=r"no folder \./nowhere; expected one that transformers"):
        open_foreign_teacher("hf:./nowhere", None, 5)
    (tmp_path / "config.json").write_text('{"model_type": "segformer"}')
    with pytest.raises(SegkdError, match=r"has no model\.safetensors or pytorch_model\.bin"):
        open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    for strange in ('["eomt"]', "{}", "null"):
        (tmp_path / "config.json").write_text(f'{{"model_type": {strange}}}')
        with pytest.raises(SegkdError, match="transformers makes no semantic segmentation model of it"):
            open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(SegkdError, match="transformers makes no semantic segmentation model of it"):
        open_foreign_teacher(f"hf:{tmp_path}", None, 5)
    with pytest.raises(SegkdError, match="is a bert: it can teach but not be trained here"):
        open_model(f"hf:{tmp_path}", 5)


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_mobilenet(tmp_path, 5)
    tensors = load_file(tmp_path / "model.safetensors")
    part = {name: tensor for name, tensor in tensors.items() if "classifier" not in name}
    save_file(part, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SegkdError, match=r"lacks 2 of the model's weights \(segmentation_head\.classifier"):
        open_foreign_teacher(f"hf:{tmp_path}", None, 5)


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SegkdError, match="no folder of that name, and the hub did not give it") as caught:
        hf_folder.find_folder("segkd-tests/not-there")
    assert "\n" not in str(caught.value)
