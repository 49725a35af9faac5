from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.models.checkpoints.files import read_file
from segkd_distill.models.checkpoints.inspect import describe
from segkd_distill.models.checkpoints.reading import read_checkpoint
from segkd_distill.models.zoo import build_model

NETWORK = "quickstart-mv2"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = build_model(NETWORK, 3).state_dict()
    return {name: tensor for name, tensor in state.items() if name not in ("mean", "std")}


def best_model(path: Path | str) -> str:
    return str(describe(read_checkpoint(path))["models"][0]["name"])


@pytest.mark.parametrize(
    "key",
    [
        "model_state", "model_state_dict", "net", "network", "weights", "ema", "params_ema", "generator", "module",
        "params", "anything",
    ],
)  # fmt: skip
def test_any_key_holds_a_network(tmp_path: Path, state: dict[str, Tensor], key: str) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}
    content = {key: state, "epoch": 3, "step": torch.tensor(4), "optimizer": optimizer, "ds_version": "0.1"}
    torch.save(content, tmp_path / "x.pth")
    assert best_model(tmp_path / "x.pth") == NETWORK
    assert read_file(tmp_path / "x.pth").notes == ()


@pytest.mark.parametrize("prefix", ["model.", "net.", "segmentor.", "module.net.", "ema_model.module.", "my_student."])
@pytest.mark.parametrize(
    "foreign", [{}, {"criterion.weight": 3}, {"val_iou.confmat": 9, "train_acc.total": 1}, {"extra.w": 2}]
)
def test_any_prefix_with_foreign_tensors(
    tmp_path: Path, state: dict[str, Tensor], prefix: str, foreign: dict[str, int]
) -> None:
    tensors = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    others = {name: torch.ones(size) for name, size in foreign.items()}
    torch.save({"state_dict": {**tensors, **others}, "epoch": 1}, tmp_path / "x.ckpt")
    found = read_checkpoint(tmp_path / "x.ckpt")
    assert found.tensors.keys() == state.keys() and best_model(tmp_path / "x.ckpt") == NETWORK
    assert set(found.dropped) <= set(others)


def test_foreign_tensors_without_a_prefix(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({**state, "criterion.weight": torch.ones(3)}, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth").tensors.keys() == state.keys()


def test_averaged_weights_are_taken_knowingly(tmp_path: Path, state: dict[str, Tensor]) -> None:
    averaged = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    torch.save({"ema": averaged, "model": state}, tmp_path / "two.pth")
    found = read_checkpoint(tmp_path / "two.pth")
    assert any("model is taken, not ema (FILE#KEY takes another)" in note for note in found.notes)
    name = next(iter(state))
    assert torch.equal(found.tensors[name], state[name])
    assert not read_checkpoint(f"{tmp_path / 'two.pth'}#ema").tensors[name].any()
    with pytest.raises(SegkdError, match=r"two\.pth has no weights under 'emma'; it has ema \(\d+ tensors\), model"):
        read_checkpoint(f"{tmp_path / 'two.pth'}#emma")


def test_averaged_weights_beside_the_others_in_one_state_dict(tmp_path: Path, state: dict[str, Tensor]) -> None:
    tensors: dict[str, Any] = {f"ema_model.module.{name}": torch.zeros_like(value) for name, value in state.items()}
    tensors |= {f"model.{name}": value for name, value in state.items()}
    torch.save({"state_dict": tensors}, tmp_path / "x.ckpt")
    found, name = read_checkpoint(tmp_path / "x.ckpt"), next(iter(state))
    assert torch.equal(found.tensors[name], state[name])
    assert any(note.startswith("the network under model is taken, not ema_model") for note in found.notes)
    other = read_checkpoint(f"{tmp_path / 'x.ckpt'}#ema_model.module")
    assert other.tensors.keys() == state.keys() and not other.tensors[name].any()


def test_without_tensors_the_keys_are_named(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "cfg": {"lr": 1}}, tmp_path / "x.pth")
    with pytest.raises(SegkdError, match=r"holds no tensors; .*\(it has the keys epoch, cfg\)"):
        read_checkpoint(tmp_path / "x.pth")


def test_a_torchscript_program_is_called_one(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "x.pt"))
    with pytest.raises(SegkdError, match=r"x\.pt is a TorchScript program, .*state_dict"):
        read_checkpoint(tmp_path / "x.pt")
