from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segkd.data.base import Dataset, LabelSpace, open_dataset
from segkd.errors import SegkdError
from segkd.evaluation import FULL, PROTOCOLS, Inference, Protocol
from segkd.metrics import ConfusionMatrix
from segkd.recipe import parse_recipe
from segkd_distill.inference.evaluate import NetworkPredictor, evaluate, predict, validation_rules
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import build_model

CPU = torch.device("cpu")


class Pictures(Dataset):
    """Random pictures of given sizes, with two classes."""

    def __init__(self, *sizes: tuple[int, int], classes: int = 3, has_masks: bool = True) -> None:
        self.labels = LabelSpace(tuple("abcdefgh"[:classes]), ((0, 0, 0),) * classes)
        self.ids = [f"p{i}" for i in range(len(sizes))]
        self.sizes, self.has_masks = sizes, has_masks

    def image_path(self, index: int) -> Path:
        return Path(f"{index}.png")

    def mask_path(self, index: int) -> Path:
        return Path(f"{index}_mask.png")

    def read_image(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).integers(0, 256, (*self.sizes[index], 3), dtype=np.uint8)

    def read_mask(self, index: int) -> np.ndarray:
        mask = np.random.default_rng(index + 50).integers(0, 3, self.sizes[index], dtype=np.uint8)
        mask[0] = 255
        return mask


@pytest.fixture(scope="module")
def model() -> Segmenter:
    torch.manual_seed(0)
    return build_model("quickstart-mv2", 3)


def test_counts_are_those_of_the_upsampled_logits_at_label_size(model: Segmenter) -> None:
    data = Pictures((30, 50), (30, 50), (17, 40))
    model.eval()
    expected = ConfusionMatrix(3)
    for index in range(3):
        sample = data.read(index)
        with torch.no_grad():
            logits = model(torch.from_numpy(sample.image).permute(2, 0, 1)[None]).logits
        expected.update(model.upsample(logits, sample.mask.shape).argmax(1)[0].numpy(), sample.mask)
    counts = evaluate(model, data, CPU).counts
    assert counts.sum() == sum((h - 1) * w for h, w in data.sizes)
    np.testing.assert_array_equal(counts, expected.counts)


def test_the_mode_is_restored_and_nothing_is_learnt(model: Segmenter) -> None:
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, Pictures((16, 32)), CPU)
    assert model.training and all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_progress_and_batches(model: Segmenter) -> None:
    data = Pictures((16, 32), (16, 32), (20, 24))
    done: list[int] = []
    batched = evaluate(model, data, CPU, batch=2, on_progress=done.append)
    assert done == [2, 3]
    assert np.abs(batched.counts - evaluate(model, data, CPU).counts).sum() <= 4  # ties to the last bit


def test_predict_gives_bytes(model: Segmenter) -> None:
    images = np.zeros((2, 9, 16, 3), np.uint8)
    labels = predict(model.eval(), images)
    assert labels.shape == (2, 9, 16) and labels.dtype == np.uint8


def test_data_without_masks_or_with_other_classes(model: Segmenter) -> None:
    with pytest.raises(SegkdError, match="no labels"):
        evaluate(model, Pictures((8, 8), has_masks=False), CPU)
    with pytest.raises(SegkdError, match="network has 3 classes, the data set 5"):
        evaluate(model, Pictures((8, 8), classes=5), CPU)


def test_saved_and_loaded_weights_give_the_same_counts(streets: Path, tmp_path: Path) -> None:
    from segkd_distill.models.saved_model import load_run, save_model
    from segkd_distill.models.zoo import MODELS

    data = open_dataset(f"cityscapes:{streets}", split="val")
    torch.manual_seed(1)
    net = build_model("quickstart-mv2", data.labels.num_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_model(tmp_path, net, MODELS["quickstart-mv2"], data.labels, (64, 128))
    np.testing.assert_array_equal(evaluate(net, data, CPU).counts, evaluate(load_run(tmp_path).model, data, CPU).counts)


def image(height: int = 30, width: int = 50) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


@torch.no_grad()
def full_logits(model: Segmenter, pixels: np.ndarray, size: tuple[int, int], *, flip: bool = False) -> torch.Tensor:
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    logits = model.eval()(batch.flip(-1) if flip else batch).logits
    upsampled = model.upsample(logits, size)
    return upsampled.flip(-1) if flip else upsampled


def test_scales_and_flip_average_probabilities(model: Segmenter) -> None:
    pixels = image()
    half = cv2.resize(pixels[0], (25, 15), interpolation=cv2.INTER_LINEAR)[None]
    looks = [full_logits(model, look, (30, 50), flip=flip).softmax(1) for look in (pixels, half) for flip in (0, 1)]
    expected = torch.stack(looks).mean(0).argmax(1)
    found = predict(model, pixels, Inference(scales=(1.0, 0.5), flip=True))
    assert (found != expected.numpy()).sum() <= 1  # ties to the last bit


def test_cirkd_averages_logits_and_aligns_corners(model: Segmenter) -> None:
    pixels = image()
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    total = torch.zeros(1, 3, 30, 50)
    for scale in (1.0, 0.5):
        scaled = F.interpolate(batch, scale_factor=scale, mode="bilinear", align_corners=True)
        with torch.no_grad():
            logits = model.eval()(scaled).logits
        total += F.interpolate(logits, size=(30, 50), mode="bilinear", align_corners=True)
    found = predict(model, pixels, Inference(scales=(1.0, 0.5), align_corners=True, average="logits"))
    assert (found != total.argmax(1).numpy()).sum() <= 1
    assert (found != predict(model, pixels)).any()


def test_a_window_as_large_as_the_image_is_the_whole_image(model: Segmenter) -> None:
    whole = predict(model.eval(), image())
    slide = predict(model, image(), Inference(mode="slide", crop=(30, 50), stride=(20, 20)))
    np.testing.assert_array_equal(slide, whole)
    small = predict(model, image(), Inference(mode="slide", crop=(16, 32), stride=(10, 20)))
    assert small.shape == whole.shape and (small != whole).any()


def test_labels_have_their_own_size_after_a_test_scale(model: Segmenter) -> None:
    pixels = image()
    large = cv2.resize(pixels[0], (100, 60), interpolation=cv2.INTER_LINEAR)[None]
    expected = full_logits(model, large, (30, 50)).argmax(1)
    np.testing.assert_array_equal(predict(model, pixels, Inference(test_scale=(60, 999))), expected.numpy())


def test_logits_that_are_not_finite_name_the_image() -> None:
    torch.manual_seed(0)
    broken = build_model("quickstart-mv2", 3)
    with torch.no_grad():
        broken.decode_head.conv_seg.weight[1] = torch.nan
    with pytest.raises(SegkdError, match=r"^image p0: the network's logits are not finite"):
        evaluate(broken, Pictures((16, 32)), CPU)
    assert broken.training


def test_threads_and_mode_are_given_back(model: Segmenter) -> None:
    before = torch.get_num_threads()
    model.train()
    with NetworkPredictor(model, CPU, ("a",), threads=before + 1, origin={"run": "r"}) as predictor:
        assert torch.get_num_threads() == before + 1 and not model.training
        assert predictor.describe() == {"run": "r", "device": f"cpu ({before + 1} threads)"}
    assert torch.get_num_threads() == before and model.training


def test_rules_of_a_validation() -> None:
    def rules(*overrides: str) -> tuple[Inference, Protocol]:
        return validation_rules(parse_recipe({"data": {"train": "ade20k:/d"}}, overrides))

    assert rules() == (Inference(), FULL)
    assert rules("eval.protocol=mmseg")[0].test_scale == (512, 2048)
    assert rules("eval.protocol=cirkd") == (Inference(align_corners=True, average="logits"), PROTOCOLS["cirkd"])
    slide = rules("eval.mode=slide", "augment.crop=96x192")[0]
    assert (slide.crop, slide.stride) == ((96, 192), (64, 128))
    assert rules("eval.mode=slide", "eval.crop=8x9", "eval.stride=3x4")[0].stride == (3, 4)
    with pytest.raises(SegkdError, match=r"set eval\.crop or augment\.crop"):
        rules("eval.mode=slide")
    with pytest.raises(SegkdError, match=r"belong to eval\.mode slide"):
        rules("eval.crop=8x9")
