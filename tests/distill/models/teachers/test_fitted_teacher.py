from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.models.adapters.logits import LogitsNetwork
from segkd_distill.models.teachers.class_map import map_classes
from segkd_distill.models.teachers.fitted_teacher import Fit, FittedTeacher, fitted
from segkd_distill.models.teachers.mapped_teacher import MappedTeacher
from segkd_distill.models.teachers.teacher import load_teacher
from segkd_distill.models.zoo import build_model
from tests.distill.commands.command_line import segkd, small
from tests.distill.models.adapters.mask_classifiers import EOMT_PX, save_eomt
from tests.distill.models.adapters.onnx_graphs import write
from tests.distill.models.teachers.test_teacher import labels
from tests.distill.training import losses


class OneSize(LogitsNetwork):
    """Its logits are the pixels, averaged in cells; it takes one size and remembers what it saw."""

    def __init__(self, size: tuple[int | None, int | None], cell: int = 1) -> None:
        super().__init__(3, mean=(10.0, 20.0, 30.0))
        self.size, self.cell = size, cell
        self.seen: list[Tensor] = []

    def input_size(self) -> tuple[int | None, int | None] | None:
        return self.size

    def logits(self, pixels: Tensor) -> Tensor:
        self.seen.append(pixels + self.mean)
        return F.avg_pool2d(pixels + self.mean, self.cell)


class Scores(OneSize):
    """Logits are logarithms of scores; every tile tells its own place in the row of calls."""

    def logits(self, pixels: Tensor) -> Tensor:
        self.seen.append(pixels)
        return torch.full_like(pixels, float(len(self.seen))).log()

    def to_scores(self, logits: Tensor) -> Tensor:
        return logits.exp()

    def from_scores(self, scores: Tensor) -> Tensor:
        return scores.log()


def picture(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (2, 3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("size", [(8, 8), (8, 20), (24, 32), (9, 31), (5, 7), (5, 21)])
@pytest.mark.parametrize("cell", [1, 2, 4])
def test_tiles_put_together_are_the_image(size: tuple[int, int], cell: int) -> None:
    """A network that looks at single cells gives the same whether it sees tiles or the whole."""
    network = FittedTeacher(OneSize((8, 8), cell), "tile").eval()
    image = picture(*size)
    logits = network(image).logits
    if all(edge % cell == 0 for edge in size):
        expected = F.avg_pool2d(image.float(), cell)
        assert logits.shape == expected.shape and torch.allclose(logits, expected, atol=1e-4)
    else:
        assert logits.shape[-2:] == size
    teacher = network.teacher
    assert isinstance(teacher, OneSize) and {tuple(seen.shape[2:]) for seen in teacher.seen} == {(8, 8)}


def test_a_small_image_is_filled_up_with_the_mean_colour() -> None:
    teacher = OneSize((8, 8))
    image = picture(5, 7)
    logits = FittedTeacher(teacher, "tile").eval()(image).logits
    assert torch.equal(logits, image.float())
    (seen,) = teacher.seen
    assert torch.equal(seen[..., :5, :7], image.float())
    assert (seen[:, :, 5:] == teacher.mean).all() and (seen[..., 7:] == teacher.mean).all()


def test_tiles_overlap_by_a_third_and_end_at_the_edges() -> None:
    teacher = OneSize((6, 6))
    image = picture(6, 15)
    FittedTeacher(teacher, "tile").eval()(image)
    lefts = [0, 4, 8, 9]
    assert len(teacher.seen) == 4
    for left, seen in zip(lefts, teacher.seen, strict=True):
        assert torch.equal(seen, image[..., left : left + 6].float())


def test_scores_are_averaged_where_logits_are_their_logarithms() -> None:
    logits = FittedTeacher(Scores((6, 6)), "tile").eval()(picture(6, 10)).logits
    assert torch.allclose(logits[0, 0, 0].exp(), torch.tensor([1.0] * 4 + [1.5] * 2 + [2.0] * 4))


def test_a_resized_image_is_seen_whole() -> None:
    teacher = OneSize((8, 8), 2)
    image = picture(24, 40)
    logits = FittedTeacher(teacher, "resize").eval()(image).logits
    assert logits.shape == (2, 3, 4, 4)
    expected = F.interpolate(image.float(), (8, 8), mode="bilinear", antialias=True)
    assert len(teacher.seen) == 1 and torch.allclose(teacher.seen[0], expected, atol=1e-4)


@pytest.mark.parametrize("fit", ["tile", "resize"])
def test_an_image_of_the_right_size_is_left_alone(fit: Fit) -> None:
    image = picture(8, 8)
    assert torch.equal(FittedTeacher(OneSize((8, 8)), fit).eval()(image).logits, image.float())


@pytest.mark.parametrize(("fit", "sizes"), [("tile", {(8, 30)}), ("resize", {(8, 30)})])
def test_an_edge_that_is_free_stays_as_it_is(fit: Fit, sizes: set[tuple[int, int]]) -> None:
    teacher = OneSize((8, None))
    FittedTeacher(teacher, fit).eval()(picture(20, 30))
    assert {tuple(seen.shape[2:]) for seen in teacher.seen} == sizes


def test_nothing_is_fitted_without_a_word() -> None:
    teacher = OneSize((8, 8))
    assert fitted(teacher, None, "T") is teacher
    with pytest.raises(SegkdError, match=r"takes images of 8x8 pixels, got 9x8; .*--teacher-fit tile\|resize"):
        teacher(picture(9, 8))
    with pytest.raises(SegkdError, match="T takes images of any size; leave out --teacher-fit tile"):
        fitted(build_model("quickstart-mv2", 3), "tile", "T")


def test_it_has_no_taps_and_refuses_other_shapes() -> None:
    network = FittedTeacher(OneSize((8, 8)), "tile")
    assert network.tap_info().channels == {} and network.tap_info().num_classes == 3
    network.check_size((50, 60))
    with pytest.raises(SegkdError, match="gives logits alone, not the taps c4"):
        network(picture(8, 8), frozenset({"c4"}))
    with pytest.raises(SegkdError, match=r"expected images \(N, 3, height, width\)"):
        network(torch.zeros(1, 4, 8, 8))


def test_classes_are_mapped_behind_it() -> None:
    class_map = map_classes(("a", "b", "c"), ("c", "a"), {"b": None})
    mapped = MappedTeacher(FittedTeacher(OneSize((8, 8)), "tile"), class_map).eval()
    image = picture(16, 24)
    assert torch.equal(mapped(image).logits, image.float()[:, [2, 0]])


@pytest.mark.parametrize("fit", ["tile", "resize"])
def test_an_onnx_file_of_one_size_teaches_on_larger_crops(fit: str, streets: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "fixed.onnx", classes=19, shape=[1, 3, 24, 24])
    words = [*small(streets, tmp_path / "run"), "--teacher", path, "--method", "cwd"]
    refused = segkd("distill", *words)
    assert refused.exit_code == 2 and "choose how others reach it, in tiles or resized" in refused.stderr
    result = segkd("distill", *words, "--teacher-fit", fit)
    assert result.exit_code == 0, result.output
    assert f"fit: {fit}" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert any("cwd/logits" in values for _, _, values in losses(tmp_path / "run"))


def test_eomt_labels_larger_images_in_tiles(tmp_path: Path) -> None:
    save_eomt(tmp_path, 3, id2label={0: "road", 1: "sky", 2: "car"})
    space = labels("road", "sky", "car")
    plain = load_teacher(f"hf:{tmp_path}", None, space)
    tiled = load_teacher(f"hf:{tmp_path}", None, space, fit="tile")
    image = picture(EOMT_PX, EOMT_PX + 8)
    with torch.no_grad():
        logits = tiled(image).logits
        left = plain(image[..., :EOMT_PX]).logits
    assert logits.shape == (2, 3, left.shape[2], (EOMT_PX + 8) // 4)
    assert torch.allclose(logits[..., :2], left[..., :2], atol=1e-5)


@pytest.mark.parametrize("fit", ["tile", "resize"])
def test_dpt_labels_images_that_are_no_squares(fit: Fit, tmp_path: Path) -> None:
    from transformers import DPTConfig, DPTForSemanticSegmentation

    size = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
    neck = {"neck_hidden_sizes": [8] * 4, "fusion_hidden_size": 8, "backbone_out_indices": [0, 1, 2, 3]}
    torch.manual_seed(0)
    names = {0: "road", 1: "sky", 2: "car"}
    DPTForSemanticSegmentation(DPTConfig(**size, **neck, image_size=64, id2label=names)).save_pretrained(tmp_path)
    space, image = labels("road", "sky", "car"), picture(64, 96)
    with pytest.raises(SegkdError, match="it was trained at 64: try --imgsz or --teacher-fit"):
        load_teacher(f"hf:{tmp_path}", None, space)(image)
    network = load_teacher(f"hf:{tmp_path}", None, space, fit=fit)
    logits = network(image).logits
    assert network.upsample(logits, (64, 96)).shape == (2, 3, 64, 96) and torch.isfinite(logits).all()


def test_eval_asks_how_images_reach_a_network_of_one_size(streets: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "fixed.onnx", classes=19, shape=[1, 3, 24, 24])
    words = [path, "--data", f"cityscapes:{streets},frames=:1", "--device", "cpu"]
    refused = segkd("eval", *words)
    assert refused.exit_code == 2 and "--fit of `segkd eval`" in refused.stderr
    scores = {fit: segkd("eval", *words, "--fit", fit, "--json") for fit in ("tile", "resize")}
    assert all(result.exit_code == 0 for result in scores.values()), scores
    assert scores["tile"].stdout != scores["resize"].stdout and '"fit": "tile"' in scores["tile"].stdout
