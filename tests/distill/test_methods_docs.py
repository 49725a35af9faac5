"""docs/methods.md and the pages behind it say what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from segkd.cli import cli
from segkd_distill.methods import METHODS

DOCS = Path(__file__).parents[2] / "docs"
INDEX = (DOCS / "methods.md").read_text()
TABLE = {
    found[1]: [cell.strip() for cell in found[0].strip("|").split("|")]
    for found in re.finditer(r"^\| \[(\w+)\]\(methods/\1\.md\) .*\|$", INDEX, re.MULTILINE)
}


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    listed = json.loads(CliRunner().invoke(cli, ["list", "methods", "--json"]).stdout)
    return {row["name"]: row for row in listed}


def test_the_index_has_every_method_in_the_tables_order() -> None:
    assert list(TABLE) == list(METHODS)


def test_no_page_is_left_over() -> None:
    assert {page.stem for page in (DOCS / "methods").glob("*.md")} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_the_index_says_what_the_method_says(name: str, rows: dict[str, dict[str, Any]]) -> None:
    _, idea, reads, labels, adapters, status, cost = TABLE[name]
    row = rows[name]
    assert len(idea) > 20
    assert reads == (", ".join(row["taps"]) or "logits")
    assert labels == ("yes" if row["labels"] else "no")
    assert (adapters == "-") == (not row["adapters"])
    assert status == row["status"].split()[0]
    assert re.fullmatch(r"[\d,.]+", cost), "run benchmarks/method_cost.py"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_page(name: str, rows: dict[str, dict[str, Any]]) -> None:
    page = (DOCS / "methods" / f"{name}.md").read_text()
    assert page.startswith(f"# {name}: ")
    assert ("econstructed" in page) == (rows[name]["status"] == "reconstructed")
    for word in ("**Idea.**", "**Formula.**", "**When", "**Cost.**"):
        assert word in page, word
    named = {key for key in rows[name]["hyper_parameters"] if f"`{key}`" in page or f"{key}=" in page}
    assert named == set(rows[name]["hyper_parameters"]), "options that the page does not name"


def test_links_of_the_index_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([\w/.]+\.md)\)", INDEX):
        assert (DOCS / target).is_file(), target
