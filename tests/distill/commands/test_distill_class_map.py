"""Teachers of other classes or another order, and losses for rare classes, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from segkd.data.base import LabelSpace, open_dataset
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.zoo import MODELS, build_model
from tests.distill.commands.command_line import segkd, small
from tests.distill.training import losses, save_teacher, weights

MODEL = "quickstart-r18"


def permuted_teacher(folder: Path, streets: Path) -> Path:
    """The network of ``save_teacher`` with its classes in reverse order."""
    labels = open_dataset(f"cityscapes:{streets}").labels
    torch.manual_seed(7)
    network = build_model(MODEL, 19)
    for name in ("decode_head.conv_seg.weight", "decode_head.conv_seg.bias"):
        values = network.get_parameter(name).detach()
        values.copy_(values.flip(0))
    reverse = LabelSpace(labels.names[::-1], labels.palette[::-1])
    save_model(folder, network, MODELS[MODEL], reverse, (64, 128))
    return folder


def test_a_permuted_teacher_trains_the_same_student(streets: Path, tmp_path: Path) -> None:
    plain = save_teacher(tmp_path / "plain", streets, MODEL)
    permuted = permuted_teacher(tmp_path / "permuted", streets)
    for teacher in (plain, permuted):
        words = ["--teacher", teacher, "--method", "kd+cwd+brd"]
        result = segkd("distill", *small(streets, tmp_path / f"run-{teacher.name}"), *words)
        assert result.exit_code == 0, result.output
        assert ("  road           <- road" in result.stderr) == (teacher is permuted)
    # The 1x1 classifier sums in the order of its channels alone, so even the bits agree.
    assert losses(tmp_path / "run-plain") == losses(tmp_path / "run-permuted")
    ours, theirs = weights(tmp_path / "run-plain"), weights(tmp_path / "run-permuted")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_class_map_in_the_recipe_merges_classes_and_resumes(streets: Path, tmp_path: Path) -> None:
    """A teacher of 21 classes, two of them parts of the road, one that the data do not have."""
    labels = open_dataset(f"cityscapes:{streets}").labels
    names = ("lane marking", "own car", *labels.names[1:], "asphalt")
    space = LabelSpace(names, tuple((i, i, i) for i in range(len(names))))
    torch.manual_seed(7)
    save_model(tmp_path / "teacher", build_model(MODEL, len(names)), MODELS[MODEL], space, (64, 128))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"teacher:\n  model: {tmp_path / 'teacher'}\n"
        "  class_map: {lane marking: road, asphalt: road, own car: null}\n"
        "methods: [cwd, kd]\ntrain: {loss: {ohem: {min_kept: 200}}, class_weights: auto}\n"
    )
    words = small(streets, tmp_path / "run")
    result = segkd("distill", "--recipe", recipe, *words, "--json")
    assert result.exit_code == 0, result.output
    assert "  road           <- lane marking + asphalt" in result.stderr and "  left out: own car" in result.stderr
    assert "class weights (median frequency): road" in result.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"task/ohem", "cwd/logits", "kd/logits"} <= set(rows[0])
    again = segkd("distill", "--resume", tmp_path / "run")
    assert again.exit_code == 0 and "is complete" in again.stderr, again.output


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("teacher.class_map={roads: road}", "unknown class of the teacher 'roads'; did you mean 'road'"),
        ("teacher.class_map={road: null}", "the teacher has no road; say with teacher.class_map"),
        ("teacher.class_map={road: 3}", "teacher.class_map.road"),
        ("train.loss=ohm", "did you mean 'ohem'"),
        ("train.class_weights=[1,2]", "2 weights for 19 classes"),
        ("train.class_weights=automatic", "train.class_weights"),
    ],
)
def test_bad_input_is_one_line(streets: Path, tmp_path: Path, extra: str, message: str) -> None:
    teacher = save_teacher(tmp_path / "teacher", streets, MODEL)
    words = ["--teacher", teacher, "--method", "kd", "--set", extra]
    result = segkd("distill", *small(streets, tmp_path / "run"), *words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr.splitlines()[-1] and "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_a_class_map_needs_a_teacher(streets: Path, tmp_path: Path) -> None:
    result = segkd("train", *small(streets, tmp_path / "run"), "--set", "teacher.class_map={road: road}")
    assert result.exit_code == 2 and "teacher.class_map without teacher.model" in result.stderr
