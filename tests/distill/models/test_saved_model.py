from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd_distill.models.saved_model import load_run, save_model
from segkd_distill.models.zoo import MODELS, build_model

LABELS = LabelSpace(("road", "sky"), ((1, 2, 3), (4, 5, 6)))
CONFIG = MODELS["quickstart-mv2"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "a" / "run", build_model(CONFIG, 2), CONFIG, LABELS, (96, 192))
    return tmp_path / "a" / "run"


def test_round_trip(run: Path) -> None:
    loaded = load_run(run)
    assert (loaded.label_space, loaded.imgsz, loaded.config, loaded.folder) == (LABELS, (96, 192), CONFIG, run)
    assert not loaded.model.training
    torch.manual_seed(0)
    expected = build_model(CONFIG, 2).state_dict()
    found = loaded.model.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_files(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == ["model.json", "student.safetensors"]
    assert set(load_file(run / "student.safetensors")) == set(build_model(CONFIG, 2).state_dict())
    card = json.loads((run / "model.json").read_text())
    assert card["schema"] == 1
    assert card["name"] == card["model"]["name"] == "quickstart-mv2"
    assert card["num_classes"] == 2
    assert card["label_space"] == {"names": ["road", "sky"], "palette": [[1, 2, 3], [4, 5, 6]], "ignore": 255}
    assert card["mean"] == [123.675, 116.28, 103.53]
    assert card["std"] == [58.395, 57.12, 57.375]
    assert card["imgsz"] == [96, 192]


def test_weights_in_channels_last_are_written_in_order(tmp_path: Path) -> None:
    model = build_model(CONFIG, 2).to(memory_format=torch.channels_last)
    save_model(tmp_path, model, CONFIG, LABELS, (96, 192))
    found = load_run(tmp_path).model.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in model.state_dict().items())


def test_failed_writing_keeps_the_old_file(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / "student.safetensors").read_bytes()

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        save_model(run, build_model(CONFIG, 2), CONFIG, LABELS, (96, 192))
    assert (run / "student.safetensors").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == ["model.json", "student.safetensors"]


def test_classes_must_agree(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="the network has 3 classes, the label space 2"):
        save_model(tmp_path, build_model(CONFIG, 3), CONFIG, LABELS, (96, 192))


def rewrite(run: Path, **changes: object) -> None:
    card = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**card, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "expected schema 1, got 2"),
        ({"imgsz": [96]}, "missing or malformed"),
        ({"imgsz": None}, "missing or malformed"),
        ({"label_space": {"names": ["a"]}}, "missing or malformed"),
        ({"mean": [0, 0, 0]}, "contradicts itself"),
        ({"num_classes": 3}, "contradicts itself"),
        ({"model": {"name": "x", "backbone": "mobilenetv2", "head": "psp", "hat": 1}}, "'hat'"),
    ],
)
def test_damaged_card(run: Path, changes: dict[str, object], message: str) -> None:
    rewrite(run, **changes)
    with pytest.raises(SegkdError, match=message):
        load_run(run)


def test_missing_parts(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"is no run folder: it has no model\.json"):
        load_run(tmp_path / "nowhere")
    (run / "student.safetensors").unlink()
    with pytest.raises(SegkdError, match=r"no weights file .*student\.safetensors"):
        load_run(run)


def test_weights_of_another_network(run: Path, tmp_path: Path) -> None:
    other = MODELS["quickstart-r18"]
    save_model(tmp_path / "b", build_model(other, 2), other, LABELS, (96, 192))
    (run / "student.safetensors").write_bytes((tmp_path / "b" / "student.safetensors").read_bytes())
    with pytest.raises(SegkdError, match="the checkpoint of another architecture"):
        load_run(run)
