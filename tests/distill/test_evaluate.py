from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segkd.data.base import Dataset, LabelSpace, open_dataset
from segkd.errors import SegkdError
from segkd.metrics import ConfusionMatrix
from segkd_distill import evaluate as module
from segkd_distill.evaluate import equal_sizes, evaluate, predict, upsampled_argmax
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


def test_predictions_and_progress_are_reported(model: Segmenter) -> None:
    data = Pictures((16, 32), (16, 32), (20, 24))
    seen: dict[str, tuple[int, ...]] = {}
    done: list[int] = []
    batched = evaluate(
        model, data, CPU, batch=2, on_prediction=lambda name, p: seen.update({name: p.shape}), on_progress=done.append
    )
    assert seen == {"p0": (16, 32), "p1": (16, 32), "p2": (20, 24)} and done == [2, 3]
    assert np.abs(batched.counts - evaluate(model, data, CPU).counts).sum() <= 4  # ties to the last bit


def test_equal_sizes() -> None:
    data = Pictures((4, 4), (4, 4), (4, 4), (4, 6), (4, 4))
    assert [[s.id for s in group] for group in equal_sizes(data, 2)] == [["p0", "p1"], ["p2"], ["p3"], ["p4"]]


def test_argmax_in_parts_equals_argmax_of_all(model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLASSES_AT_ONCE", 3)
    logits = torch.randn(2, 10, 5, 6, generator=torch.Generator().manual_seed(0))
    logits[:, 7] = logits[:, 2]  # equal classes in two parts: the first wins
    labels = upsampled_argmax(model, logits, (11, 13))
    assert labels.dtype == torch.uint8
    expected = model.upsample(logits, (11, 13)).numpy().argmax(1)
    np.testing.assert_array_equal(labels.numpy(), expected)


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
    from segkd_distill.models.zoo import MODELS
    from segkd_distill.runs import load_run, save_model

    data = open_dataset(f"cityscapes:{streets}", split="val")
    torch.manual_seed(1)
    net = build_model("quickstart-mv2", data.labels.num_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_model(tmp_path, net, MODELS["quickstart-mv2"], data.labels, (64, 128))
    np.testing.assert_array_equal(evaluate(net, data, CPU).counts, evaluate(load_run(tmp_path).model, data, CPU).counts)
