from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
import torch

from segkd.cli import CONTEXT_SETTINGS, cli
from segkd.errors import SegkdError
from segkd.recipe import Recipe, dump_recipe, parse_recipe
from segkd_distill.commands.distill import distill
from segkd_distill.commands.options import KEYS, cpu_threads, recipe_from, run_folder
from segkd_distill.commands.train import train


def parsed(*arguments: str, command: Any = distill) -> dict[str, Any]:
    whole = click.Context(cli, **CONTEXT_SETTINGS)  # a command keeps the help option of its first context
    options: dict[str, Any] = command.make_context(command.name, list(arguments), parent=whole).params
    return options


def recipe(*arguments: str, run: Path = Path("nowhere")) -> Recipe:
    return recipe_from(parsed(*arguments), run)


def test_every_named_option_reaches_its_key() -> None:
    found = recipe(
        *("--data", "cityscapes:/d,frames=:30", "--val", "cityscapes:/v", "--unlabelled", "images:/u"),
        *("--cache", "/c", "--skip-damaged"),
        *("--teacher", "runs/t", "--student", "pspnet-r18", "--init-from", "w.pth", "--method", "cwd+kd:0.5"),
        *("--imgsz", "96x192", "--iters", "7", "--batch", "6", "--optimizer", "adamw", "--lr", "0.5"),
        *("--weight-decay", "0", "--warmup-iters", "3", "--amp", "bf16", "--seed", "9", "--eval-every", "2"),
    )
    values = found.model_dump()
    assert values["data"] == {
        "train": "cityscapes:/d,frames=:30",
        "val": "cityscapes:/v",
        "unlabelled": "images:/u",
        "cache": "/c",
        "skip_damaged": True,
    }
    assert found.teacher.model == "runs/t" and found.student.model == "pspnet-r18" and found.student.weights == "w.pth"
    assert found.methods == [{"cwd": {}}, {"kd": {"weight": 0.5}}]
    assert found.augment.crop == (96, 192) and found.eval.every == 2
    train_part = found.train
    assert (train_part.iters, train_part.batch, train_part.optimizer, train_part.lr) == (7, 6, "adamw", 0.5)
    assert (train_part.weight_decay, train_part.warmup_iters, train_part.amp, train_part.seed) == (0, 3, "bf16", 9)
    assert set(KEYS) <= set(parsed())


def test_set_wins_over_named_options_and_these_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("schema: 1\ntrain: {iters: 5, lr: 0.1, batch: 2}\n")
    found = recipe("--recipe", str(path), "--iters", "6", "--lr", "0.2", "--set", "train.lr=0.3")
    assert (found.train.batch, found.train.iters, found.train.lr) == (2, 6, 0.3)


def test_a_resumed_run_begins_with_its_own_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(dump_recipe(parse_recipe({"train": {"iters": 77}})))
    assert recipe("--resume", "--batch", "3", run=tmp_path).train.iters == 77
    assert recipe("--resume", "--batch", "3", run=tmp_path).train.batch == 3
    assert recipe("--batch", "3", run=tmp_path).train.iters != 77


@pytest.mark.parametrize("command", [train, distill])
def test_resume_with_and_without_a_folder(command: Any, tmp_path: Path) -> None:
    assert parsed("--out", "r", command=command)["resume"] is None
    assert parsed("--out", "r", "--resume", command=command)["resume"] == ""
    assert parsed("--resume", "--out", "r", command=command)["resume"] == ""
    assert parsed("--resume", "r", command=command)["resume"] == "r"
    assert run_folder(Path("r"), None) == run_folder(None, "r") == run_folder(Path("r"), "") == Path("r")
    assert run_folder(Path("r"), "r") == Path("r")
    with pytest.raises(SegkdError, match="name two runs"):
        run_folder(Path("r"), "s")
    with pytest.raises(SegkdError, match=r"no run folder: give --out FOLDER$"):
        run_folder(None, None)
    with pytest.raises(SegkdError, match="or --resume FOLDER"):
        run_folder(None, "")


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_without_a_count_a_quota_bounds_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    for cores, expected in ((2, 2), (64, 3)):
        monkeypatch.setattr("segkd.machine.cpus.usable_cores", lambda cores=cores: cores)
        with cpu_threads(None):
            assert torch.get_num_threads() == expected
    torch.set_num_threads(before)
