"""Networks of other classes than the data, through ``--class-map``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segkd.data.base import LabelSpace, open_dataset
from segkd.evaluation.score import Job, score
from segkd_distill.models.saved_model import load_run, save_model
from segkd_distill.models.zoo import MODELS, build_model
from tests.distill.commands.command_line import segkd, small
from tests.distill.training import losses, save_teacher

MODEL = "quickstart-mv2"


@pytest.fixture
def plain(streets: Path, tmp_path: Path) -> Path:
    return save_teacher(tmp_path / "plain", streets, MODEL)


@pytest.fixture
def with_void(plain: Path, tmp_path: Path) -> Path:
    """The network of ``plain`` with a first class that wins at every pixel, and its own classes in reverse order."""
    run = load_run(plain)
    network = build_model(MODEL, 20)
    state = run.model.state_dict()
    for name in ("decode_head.conv_seg.weight", "decode_head.conv_seg.bias"):
        first = torch.full_like(state[name][:1], 1000.0 if name.endswith("bias") else 0.0)
        state[name] = torch.cat([first, state[name].flip(0)])
    network.load_state_dict(state)
    names = ("void", *run.label_space.names[::-1])
    save_model(
        tmp_path / "void", network, MODELS[MODEL], LabelSpace(names, tuple((i, i, i) for i in range(20))), (64, 128)
    )
    return tmp_path / "void"


def scored(streets: Path, source: Path | str, *words: object) -> dict[str, Any]:
    result = segkd("eval", source, "--data", f"cityscapes:{streets}", "--device", "cpu", "--json", *words)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_void_class_is_left_out_before_the_best_is_taken(streets: Path, plain: Path, with_void: Path) -> None:
    refused = segkd("eval", with_void, "--data", f"cityscapes:{streets}", "--device", "cpu")
    assert refused.exit_code == 2 and "say with --class-map which becomes which" in refused.stderr
    expected, found = scored(streets, plain), scored(streets, with_void, "--class-map", "void=ignore")
    assert found["per_class"] == expected["per_class"] and found["classes"] == expected["classes"]
    assert found["class_map"] == {"void": None} and "class_map" not in expected


def test_a_weights_file_has_names_or_numbers(streets: Path, plain: Path, with_void: Path, tmp_path: Path) -> None:
    names = open_dataset(f"cityscapes:{streets}").labels.names
    expected = scored(streets, plain)
    # Beside model.json the file's classes have names.
    file = with_void / "student.safetensors"
    found = scored(streets, file, "--model", MODEL, "--class-map", "void=null")
    assert found["per_class"] == expected["per_class"]
    # Elsewhere they have numbers.
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes(file.read_bytes())
    refused = segkd("eval", bare, "--model", MODEL, "--data", f"cityscapes:{streets}", "--device", "cpu")
    assert refused.exit_code == 2 and "the weights are for 20 classes, the network has 19" in refused.stderr
    numbers = {"0": None, **{str(channel + 1): name for channel, name in enumerate(names[::-1])}}
    (tmp_path / "map.json").write_text(json.dumps(numbers))
    found = scored(streets, bare, "--model", MODEL, "--class-map", tmp_path / "map.json")
    assert found["per_class"] == expected["per_class"]


def test_a_module_with_a_void_channel(
    streets: Path, plain: Path, with_void: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "void_nets.py").write_text(
        "from segkd_distill.models.saved_model import load_run\n"
        f"def net():\n    run = load_run({str(with_void)!r})\n"
        "    run.model.class_names = run.label_space.names\n    return run.model\n"
    )
    monkeypatch.chdir(tmp_path)
    refused = segkd("eval", "torch:void_nets:net", "--data", f"cityscapes:{streets}", "--device", "cpu")
    assert refused.exit_code == 2 and "has 20 classes, the data 19: say with --class-map" in refused.stderr
    found = scored(streets, "torch:void_nets:net", "--class-map", "void=ignore")
    assert found["per_class"] == scored(streets, plain)["per_class"]


def test_a_teacher_with_a_void_channel_teaches_as_without(
    streets: Path, plain: Path, with_void: Path, tmp_path: Path
) -> None:
    words = ["--method", "kd", "--set", "train.iters=2"]
    for name, teacher in (("a", [plain]), ("b", [with_void, "--class-map", "void=ignore"])):
        result = segkd("distill", *small(streets, tmp_path / name), "--teacher", *teacher, *words)
        assert result.exit_code == 0, result.output
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert "void: null" in (tmp_path / "b" / "recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("void", "no such file, and no map"),
        ("voit=ignore", "--class-map: unknown class of the teacher 'voit'; did you mean 'void'"),
        ("road=ignore", "network .* has 20 classes, the data 19: .*the data have no void; .*say with --class-map"),
    ],
)
def test_a_map_that_does_not_fit_is_one_line(streets: Path, with_void: Path, text: str, said: str) -> None:
    import re

    result = segkd("eval", with_void, "--data", f"cityscapes:{streets}", "--device", "cpu", "--class-map", text)
    assert result.exit_code == 2 and re.search(said, " ".join(result.stderr.split())), result.stderr


def test_predictions_of_a_mapped_network_have_the_datas_classes(
    streets: Path, plain: Path, with_void: Path, tmp_path: Path
) -> None:
    data = f"cityscapes:{streets}"
    score(Job(str(plain), data, device="cpu", save_predictions=tmp_path / "a"))
    score(Job(str(with_void), data, device="cpu", save_predictions=tmp_path / "b", class_map={"void": None}))
    for path in (tmp_path / "a").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
