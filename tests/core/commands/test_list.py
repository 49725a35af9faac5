from __future__ import annotations

import json
import sys

import click
import pytest
from click.testing import CliRunner, Result

from segkd.cli import cli
from segkd.commands.list import SUBCOMMANDS, SUMMARIES, list_
from segkd.data import DATASETS
from segkd.errors import install_command
from segkd.recipe import recipe_names


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["list", *words])


def names(what: str) -> list[str]:
    result = run(what, "--json")
    assert result.exit_code == 0, result.output
    return [row["name"] for row in json.loads(result.stdout)]


def test_help_names_every_list_with_its_own_short_help() -> None:
    assert list(SUMMARIES) == list(SUBCOMMANDS)
    for name, summary in SUMMARIES.items():
        command = list_.get_command(click.Context(list_), name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(limit=200) == summary
        assert summary in run("--help").output


def test_an_unknown_list() -> None:
    result = run("model")
    assert result.exit_code == 2
    assert "unknown list 'model'; did you mean 'models'?" in result.output


def test_methods() -> None:
    from segkd_distill.methods import METHODS

    assert names("methods") == list(METHODS)
    text = run("methods").stdout
    assert "cwd" in text
    assert "temperature=4.0" in text
    assert "``" not in text


def test_models_are_counted_without_their_auxiliary_head(monkeypatch: pytest.MonkeyPatch) -> None:
    from segkd_distill.models.catalogue import catalogue
    from segkd_distill.models.zoo import MODELS, build_model

    few = {name: MODELS[name] for name in ("pspnet-r18", "quickstart-mv2")}
    monkeypatch.setattr(catalogue, "MODELS", few)  # all of them take seconds
    assert names("models") == list(few)
    rows = {row["name"]: row for row in json.loads(run("models", "--classes", "5", "--json").stdout)}
    model = build_model("pspnet-r18", 5)
    row = rows["pspnet-r18"]
    whole = sum(p.numel() for p in model.parameters())
    assert model.auxiliary_head is not None
    assert row["auxiliary_parameters"] == sum(p.numel() for p in model.auxiliary_head.parameters()) > 0
    assert row["parameters"] + row["auxiliary_parameters"] == whole
    assert row["output_stride"] == 8
    assert f"{row['parameters']:,}" in run("models", "--classes", "5").stdout


def test_datasets() -> None:
    assert names("datasets") == list(DATASETS)
    rows = {row["name"]: row for row in json.loads(run("datasets", "--json").stdout)}
    assert {"frames", "split", "labels"} <= set(rows["cityscapes"]["options"])
    for row in rows.values():
        assert row["summary"]
        assert row["classes"]
        assert row["layout"]
        assert row["splits"]
    text = run("datasets").stdout
    assert "cityscapes" in text
    assert "classes: 59, or 60 with background (classes=60)" in text
    assert "gtFine/{train,val}/{city}/*_gtFine_labelIds.png" in text
    assert "``" not in text


def test_recipes() -> None:
    assert names("recipes") == list(recipe_names())
    assert "PSPNet-R18 on Cityscapes" in run("recipes").stdout


@pytest.mark.parametrize("words", [("methods", "--json"), ("models",)])
def test_without_torch_the_extra_is_named(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = run(*words)
    assert str(result.exception) == f"torch is not installed: {install_command('train')}"


def test_names_of_methods_need_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    from segkd_distill.methods import METHODS

    monkeypatch.setitem(sys.modules, "torch", None)
    result = run("methods")
    assert result.exit_code == 0 and result.stdout.split() == list(METHODS)
    assert result.stderr.startswith(f"torch is not installed: {install_command('train')}")
