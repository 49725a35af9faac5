from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.models.adapters.hf_masks import CLIP_TASK, MaskClassifier, class_scores
from segkd_distill.models.sources import open_foreign_teacher
from segkd_distill.models.teachers.teacher import load_teacher
from tests.distill.commands.command_line import segkd
from tests.distill.models.adapters.mask_classifiers import EOMT_PX, SAVERS, save_mask2former, save_oneformer
from tests.distill.models.adapters.test_hf import normalised
from tests.distill.models.teachers.test_teacher import labels
from tests.distill.training import STUDENT, losses

CLASSES = 5
TASK_INPUT = torch.tensor([[*map(float, CLIP_TASK), *[0.0] * 70]])


def processor(kind: str) -> Any:
    """The image processor that does not need torchvision."""
    import importlib

    name = {"maskformer": "MaskFormer", "mask2former": "Mask2Former", "oneformer": "OneFormer", "eomt": "Eomt"}[kind]
    module = importlib.import_module(f"transformers.models.{kind}.image_processing_pil_{kind}")
    needed = {"size": {"height": 8, "width": 8}} if kind != "eomt" else {}
    if kind == "oneformer":
        # Its constructor reads a file of class names from the hub; what comes after a network needs none of it.
        return object.__new__(getattr(module, f"{name}ImageProcessorPil"))
    return getattr(module, f"{name}ImageProcessorPil")(**needed)


@pytest.fixture(scope="module", params=SAVERS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, MaskClassifier, Any]:
    """Kind, our network, and the library's own output for the same image."""
    folder = tmp_path_factory.mktemp("hf") / request.param
    model = SAVERS[request.param](folder, CLASSES)
    network, names = open_foreign_teacher(f"hf:{folder}", None, CLASSES)
    assert names is None and isinstance(network, MaskClassifier)
    inputs = {"task_inputs": TASK_INPUT.expand(2, -1)} if request.param == "oneformer" else {}
    with torch.no_grad():
        output = model(pixel_values=(image() - network.mean) / network.std, **inputs)
    return request.param, network.eval(), output


def image() -> Tensor:
    return torch.randint(0, 256, (2, 3, EOMT_PX, EOMT_PX), generator=torch.Generator().manual_seed(1))


def library_scores(kind: str, output: Any, size: tuple[int, int]) -> Tensor:
    """The library's scores (N, K, H, W), with nothing resized before the sigmoid."""
    masks = output.masks_queries_logits
    settings: dict[str, Any] = {}
    if kind == "mask2former":  # resizes masks to 384x384 first: give them at that size, so that it changes nothing
        factor = 384 // masks.shape[-1]
        masks, size = masks.repeat_interleave(factor, 2).repeat_interleave(factor, 3), (384, 384)
    if kind == "eomt":
        settings["size"] = {"shortest_edge": masks.shape[-2], "longest_edge": masks.shape[-1]}
    given = SimpleNamespace(
        class_queries_logits=output.class_queries_logits, masks_queries_logits=masks, patch_offsets=None
    )
    found = processor(kind).post_process_semantic_segmentation(
        given, target_sizes=[size] * len(masks), return_segmentation_scores=True, **settings
    )
    scores = torch.stack([item.segmentation_scores for item in found])
    assert all(torch.equal(item.segmentation, item.segmentation_scores.argmax(0)) for item in found)
    return scores


def same_labels(ours: Tensor, theirs: Tensor) -> bool:
    """Whether the best class is the same, but where the library's two best differ by rounding alone."""
    best = theirs.topk(2, 1).values
    clear = best[:, 0] > best[:, 1] * (1 + 1e-5)
    return bool((ours.argmax(1) == theirs.argmax(1))[clear].all()) and float(clear.float().mean()) > 0.95


def test_scores_are_those_of_the_library(case: tuple[str, MaskClassifier, Any]) -> None:
    kind, network, output = case
    with torch.no_grad():
        logits = network(image()).logits
    grid = output.masks_queries_logits.shape[-2:]
    assert logits.shape == (2, CLASSES, *grid) and logits.dtype == torch.float32
    expected = library_scores(kind, output, tuple(grid))
    factor = expected.shape[-1] // grid[-1]
    ours = logits.exp().repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    assert torch.allclose(ours, expected, rtol=1e-5, atol=1e-7)
    assert same_labels(ours, expected) and len(expected.argmax(1).unique()) > 1


def test_labels_at_the_images_size_are_those_of_the_library(case: tuple[str, MaskClassifier, Any]) -> None:
    """Scores are resized, not their logarithms."""
    kind, network, output = case
    if kind == "mask2former":
        return  # its processor resizes to 384x384 in between
    size = (EOMT_PX, EOMT_PX)
    with torch.no_grad():
        ours = network.upsample(network(image()).logits, size)
    expected = library_scores(kind, output, size)
    assert torch.allclose(ours.exp(), expected, rtol=1e-5, atol=1e-7)
    assert same_labels(ours, expected)


def test_mask2former_agrees_with_its_processor_up_to_the_resize(tmp_path: Path) -> None:
    model = save_mask2former(tmp_path, CLASSES)
    network, _ = open_foreign_teacher(f"hf:{tmp_path}", None, CLASSES)
    pixels = torch.randint(0, 256, (1, 3, 96, 96), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = model(pixel_values=normalised(pixels))
        ours = network.eval().upsample(network(pixels).logits, (96, 96)).argmax(1)
    (theirs,) = processor("mask2former").post_process_semantic_segmentation(output, target_sizes=[(96, 96)])
    assert float((ours[0] == theirs).float().mean()) > 0.97


def test_the_decoder_is_what_the_queries_are_multiplied_by(case: tuple[str, MaskClassifier, Any]) -> None:
    _, network, output = case
    with torch.no_grad():
        found = network(image(), frozenset({"decoder"}))
    info = network.tap_info()
    features = found.taps["decoder"]
    assert features.shape[1] == info.channels["decoder"]
    assert features.shape[-2:] == output.masks_queries_logits.shape[-2:]
    assert info.strides == {"decoder": EOMT_PX // features.shape[-1], "logits": EOMT_PX // features.shape[-1]}
    if getattr(output, "pixel_decoder_last_hidden_state", None) is not None:
        assert torch.equal(features, output.pixel_decoder_last_hidden_state)

    # Every mask is a weighted sum of the features' channels.
    masks = output.masks_queries_logits[0].flatten(1).T
    design = torch.cat([features[0].flatten(1).T, torch.ones(len(masks), 1)], 1)
    residual = masks - design @ torch.linalg.lstsq(design, masks).solution
    assert residual.abs().max() < 1e-3 * masks.abs().max()
    with pytest.raises(SegkdError, match="not the taps c1"):
        network(image(), frozenset({"c1"}))


def test_scores_by_hand() -> None:
    """Two queries, two classes and none: 0.5 * 0.5 + 0.25 * 0.25 and so on; nothing is left of "no object"."""
    classes = torch.tensor([[[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]]).log()
    masks = torch.tensor([0.5, 0.25]).logit().view(1, 2, 1, 1)
    assert torch.allclose(class_scores(classes, masks).flatten(), torch.tensor([0.3125, 0.1875]))


def test_scores_that_vanish_stay_finite(tmp_path: Path) -> None:
    save_mask2former(tmp_path, CLASSES)
    network, _ = open_foreign_teacher(f"hf:{tmp_path}", None, CLASSES)
    assert isinstance(network, MaskClassifier)
    network.run = lambda *_, **__: SimpleNamespace(  # type: ignore[method-assign]
        class_queries_logits=torch.zeros(1, 1, CLASSES + 1), masks_queries_logits=torch.full((1, 1, 4, 4), -1000.0)
    )
    logits = network(torch.zeros(1, 3, 16, 16)).logits
    assert torch.isfinite(logits).all() and torch.isfinite(network.upsample(logits, (16, 16))).all()


def test_scores_keep_their_precision_under_amp() -> None:
    classes, masks = torch.randn(1, 50, 6), torch.randn(1, 50, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = class_scores(classes, masks)
    assert torch.equal(found, class_scores(classes, masks))


def test_oneformer_reads_its_task_from_the_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import CLIPTokenizer

    model = save_oneformer(tmp_path, CLASSES)
    network, _ = open_foreign_teacher(f"hf:{tmp_path}", None, CLASSES)
    assert torch.equal(network.task, TASK_INPUT) and "its task is given in CLIP's vocabulary" in capsys.readouterr().err

    # A tokenizer of whole words, as the folder of a published model has one.
    words = ["<|startoftext|>", "<|endoftext|>", "the</w>", "task</w>", "is</w>", "semantic</w>"]
    letters = sorted(set("thetaskissemantic"))
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges = ["t h", "th e</w>", "t a", "ta s", "tas k</w>", "i s</w>", "s e", "m a", "se ma", "n t", "i c</w>"]
    merges += ["sema nt", "semant ic</w>"]
    grown = [merge.replace(" ", "") for merge in merges]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*words, *pieces, *grown]))}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(tmp_path)
    network, _ = open_foreign_teacher(f"hf:{tmp_path}", None, CLASSES)
    assert network.task.tolist() == [[0.0, 2.0, 3.0, 4.0, 5.0, 1.0, *[0.0] * 71]]
    with torch.no_grad():
        output = model(pixel_values=(image() - network.mean) / network.std, task_inputs=network.task.expand(2, -1))
        expected = class_scores(output.class_queries_logits, output.masks_queries_logits)
        assert torch.allclose(network.eval()(image()).logits.exp(), expected, rtol=1e-5)


def test_classes_are_mapped_by_name(tmp_path: Path) -> None:
    names = ("road", "sky", "void")
    save_mask2former(tmp_path, 3, id2label=dict(enumerate(names)))
    plain = load_teacher(f"hf:{tmp_path}", None, labels(*names))
    mapped = load_teacher(f"hf:{tmp_path}", None, labels("sky", "road"), {"void": None})
    with torch.no_grad():
        scores, ours = plain(image()).logits.exp(), mapped(image()).logits.exp()
        assert torch.equal(ours, scores[:, [1, 0]])
        upsampled = mapped.upsample(mapped(image()).logits, (64, 64))
        assert torch.allclose(upsampled, plain.upsample(plain(image()).logits, (64, 64))[:, [1, 0]])


def test_weights_that_label_must_be_there_those_of_the_loss_need_not(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_mask2former(tmp_path, CLASSES)
    tensors = load_file(tmp_path / "model.safetensors")
    part = {name: tensor for name, tensor in tensors.items() if not name.startswith("criterion.")}
    assert len(part) < len(tensors)
    save_file(part, tmp_path / "model.safetensors", metadata={"format": "pt"})
    open_foreign_teacher(f"hf:{tmp_path}", None, CLASSES)
    part = {name: tensor for name, tensor in part.items() if not name.startswith("class_predictor")}
    save_file(part, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SegkdError, match=r"lacks 2 of the model's weights \(class_predictor"):
        open_foreign_teacher(f"hf:{tmp_path}", None, CLASSES)


@pytest.mark.parametrize("kind", SAVERS)
def test_it_teaches_for_20_steps(kind: str, streets: Path, tmp_path: Path) -> None:
    from segkd.data.base import open_dataset

    names = open_dataset(f"cityscapes:{streets}").labels.names
    SAVERS[kind](tmp_path / "teacher", len(names), id2label=dict(enumerate(names)))
    words: list[object] = ["--data", f"cityscapes:{streets},frames=:4", "--val", f"cityscapes:{streets},frames=:1"]
    words += ["--student", STUDENT, "--teacher", f"hf:{tmp_path / 'teacher'}", "--method", "cwd", "--batch", 2]
    words += ["--imgsz", f"{EOMT_PX}x{EOMT_PX}", "--iters", 20, "--eval-every", 20, "--device", "cpu"]
    result = segkd("distill", *words, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    terms = [values for _, event, values in losses(tmp_path / "run") if event == "train"]
    assert terms and all(np.isfinite(value) for values in terms for value in values.values())
