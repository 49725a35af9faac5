"""Whole models that were built elsewhere as teachers, through the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from segkd.data.base import open_dataset
from segkd_distill.methods import METHODS
from segkd_distill.models.saved_model import load_run
from tests.distill.commands.command_line import segkd, small
from tests.distill.models.adapters.hugging_face import save_segformer
from tests.distill.models.adapters.onnx_graphs import write
from tests.distill.training import losses

MODULE = """
import torch
from torch import nn
from tests.distill.models.adapters.onnx_graphs import weight


class Guess(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 19, 4, 4, bias=False)
        self.conv.weight.data.copy_(torch.from_numpy(weight(19)))

    def forward(self, x):
        return self.conv(x)
"""


def names(streets: Path) -> tuple[str, ...]:
    return open_dataset(f"cityscapes:{streets}").labels.names


@pytest.fixture(scope="module")
def segformer(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its classes in reverse order."""
    folder = tmp_path_factory.mktemp("hf") / "segformer"
    save_segformer(folder, names(streets)[::-1])
    return folder


def test_a_segformer_distils_with_taps_and_resumes(streets: Path, segformer: Path, tmp_path: Path) -> None:
    words = ["--teacher", f"hf:{segformer}", "--method", "kd+cwd+brd"]
    result = segkd(
        "distill", *small(streets, tmp_path / "run"), *words, "--set", "methods.1={cwd: {on: both}}", "--json"
    )
    assert result.exit_code == 0, result.output
    assert "classes of the data <- classes of the teacher" in result.stderr
    assert json.loads(result.stdout)["teacher"] == f"hf:{segformer}"
    terms = losses(tmp_path / "run")[0][2]
    assert {"kd/logits", "cwd/logits", "cwd/features", "brd/boundary", "brd/relation"} <= set(terms), terms
    assert all(math.isfinite(value) for value in terms.values())
    assert segkd("distill", "--resume", tmp_path / "run").exit_code == 0


def test_a_segformer_as_student(streets: Path, segformer: Path, tmp_path: Path) -> None:
    """From the folder's weights; the run folder describes itself and is exported."""
    words = ["--student", f"hf:{segformer}", "--teacher", f"hf:{segformer}", "--method", "kd"]
    result = segkd("distill", *small(streets, tmp_path / "run"), *words)
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    assert card["model"]["backbone"] == "mit" and card["model"]["backbone_options"]["widths"] == [8, 16, 24, 32]
    assert load_run(tmp_path / "run").config.name == "segformer"


def test_a_module_and_an_onnx_file_of_the_same_function_teach_the_same(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guess_net.py").write_text(MODULE)
    write(tmp_path / "guess.onnx", classes=19)
    monkeypatch.chdir(tmp_path)
    terms = {}
    for name, teacher in (("module", "torch:guess_net:Guess"), ("onnx", "guess.onnx")):
        result = segkd("distill", *small(streets, tmp_path / name), "--teacher", teacher, "--method", "kd+cwd")
        assert result.exit_code == 0, result.output
        assert "its classes have no names and are taken in the data's order" in result.stderr
        terms[name] = losses(tmp_path / name)[0][2]
    assert {"kd/logits", "cwd/logits"} <= set(terms["onnx"])
    assert terms["onnx"] == pytest.approx(terms["module"], rel=1e-4)
    assert f"model: {tmp_path / 'guess.onnx'}" in (tmp_path / "onnx" / "recipe.yaml").read_text()


def test_an_onnx_file_of_another_size_is_refused_before_the_run_begins(streets: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "fixed.onnx", classes=19, shape=[1, 3, 64, 64])
    result = segkd("distill", *small(streets, tmp_path / "run"), "--teacher", path, "--method", "kd")
    assert result.exit_code == 2, result.output
    assert "takes images of 64x64 pixels, got 32x64; train on crops of that size (--imgsz 64x64)" in result.stderr
    assert not (tmp_path / "run").exists()
    # Through a map of its classes too.
    write(tmp_path / "fixed.onnx", classes=20, shape=[1, 3, 64, 64])
    mapping = ", ".join(f'"{channel}": {name}' for channel, name in enumerate((*names(streets), "null")))
    words = ["--teacher", path, "--method", "kd", "--set", f"teacher.class_map={{{mapping}}}"]
    result = segkd("distill", *small(streets, tmp_path / "run"), *words)
    assert "takes images of 64x64 pixels, got 32x64" in result.stderr and not (tmp_path / "run").exists()


def test_an_onnx_file_of_other_classes_is_one_line(streets: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "three.onnx")
    words = ["--teacher", path, "--method", "kd", "--set", 'teacher.class_map={"0": road, "1": sky, "2": car}']
    result = segkd("distill", *small(streets, tmp_path / "run"), *words)
    assert result.exit_code == 2, result.output
    assert "three.onnx has 3 classes, the data 19: the teacher has no sidewalk" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("method", METHODS)
def test_a_teacher_without_taps_trains_or_names_the_taps(
    method: str, streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guess_net.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    words = ["--teacher", "torch:guess_net:Guess", "--method", method]
    result = segkd("distill", *small(streets, tmp_path / "run"), *words)
    if method in ("kd", "cwd", "bpkd"):
        assert result.exit_code == 0, result.output
        return
    assert result.exit_code == 2, result.output
    message = result.stderr.splitlines()[-1]
    assert f"method {method} needs the taps " in message and "this teacher does not have" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.long
@pytest.mark.parametrize("method", ["kd", "cwd", "brd"])
def test_segformer_b0_distils_the_quickstart_student_for_30_iterations(
    method: str, streets: Path, tmp_path: Path
) -> None:
    save_segformer(tmp_path / "b0", names(streets), depths=[2, 2, 2, 2])
    words: list[object] = ["--data", f"cityscapes:{streets}", "--student", "quickstart-mv2", "--imgsz", "64x128"]
    words += ["--teacher", f"hf:{tmp_path / 'b0'}", "--method", method, "--batch", 4, "--iters", 30, "--lr", 0.005]
    words += ["--optimizer", "adamw", "--eval-every", 30, "--device", "cpu", "--out", tmp_path / "run"]
    result = segkd("distill", *words)
    assert result.exit_code == 0, result.output
    rows = [values for _, event, values in losses(tmp_path / "run") if event == "train"]
    assert any(key.startswith(f"{method}/") for key in rows[0])
    assert all(math.isfinite(value) for row in rows for value in row.values())
