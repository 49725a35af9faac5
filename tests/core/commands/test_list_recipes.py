from __future__ import annotations

import json

from click.testing import CliRunner

from segkd.cli import cli
from segkd.recipe import recipe_names


def run(*words: str) -> str:
    result = CliRunner().invoke(cli, ["list", "recipes", *words])
    assert result.exit_code == 0
    return result.stdout


def test_published_numbers_stand_beside_the_recipes() -> None:
    lines = [line.split() for line in run().splitlines()]
    at = next(index for index, words in enumerate(lines) if words[0] == "bpkd-pspnet-r18-cityscapes")
    assert lines[at + 1][:5] == ["published:", "teacher", "79.74,", "student", "74.23,"]
    rows = {row["name"]: row for row in json.loads(run("--json"))}
    assert list(rows) == list(recipe_names())
    assert rows["bpkd-pspnet-r18-cityscapes"]["published"]["methods"]["bpkd"] == {"miou": 77.57, "macc": 84.47}
    assert rows["quickstart-student"]["published"] is None
    assert all(row["summary"] for row in rows.values())


def test_words_pick_recipes() -> None:
    names = [row["name"] for row in json.loads(run("BPKD", "ade20k", "--json"))]
    assert len(names) == 16 and all(name.startswith("bpkd-") and "ade20k" in name for name in names)
    assert run("nothing-of-this-kind") == ""
