from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from segkd.cli import cli
from segkd_distill.methods import METHODS
from segkd_distill.models.output import TAPS

FIELDS = {
    "name",
    "summary",
    "paper",
    "status",
    "taps",
    "labels",
    "adapters",
    "default_weights",
    "weights_by_dataset",
    "hyper_parameters",
}
STATES = ("verified against original values", "reconstructed")


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(cli, ["list", "methods", "--json"])
    assert result.exit_code == 0, result.output
    return {row["name"]: row for row in json.loads(result.stdout)}


@pytest.fixture(scope="module")
def text() -> str:
    result = CliRunner().invoke(cli, ["list", "methods"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_method_of_the_table_in_its_order(rows: dict[str, dict[str, Any]]) -> None:
    assert list(rows) == list(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_field_says_something(name: str, rows: dict[str, dict[str, Any]]) -> None:
    row = rows[name]
    assert row.keys() == FIELDS
    assert len(row["summary"]) > 10 and "\n" not in row["summary"]
    assert len(row["paper"]) > 20 and any(character.isdigit() for character in row["paper"])
    assert row["status"] in STATES
    assert set(row["taps"]) <= set(TAPS)
    assert isinstance(row["labels"], bool)
    assert row["default_weights"] and row["default_weights"].items() <= row["hyper_parameters"].items()
    for values in row["weights_by_dataset"].values():
        assert values.keys() <= row["hyper_parameters"].keys()


def test_what_the_methods_read_and_train(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["kd"]["taps"] == rows["cwd"]["taps"] == []
    assert rows["fitnet"]["taps"] == ["decoder"] and rows["fitnet"]["adapters"] == ["regressor"]
    assert rows["dsd"]["taps"] == ["c2", "c3", "c4"] and rows["dsd"]["adapters"] == []
    assert rows["attnfd"]["taps"] == ["c4_pre", "context", "decoder"]
    assert {name for name, row in rows.items() if row["labels"]} == {"ifvd", "bpkd"}
    assert {name for name, row in rows.items() if row["status"] == "reconstructed"} == {"bpkd", "brd", "dsd"}


def test_default_weights(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["cwd"]["default_weights"] == {"logits_weight": 3.0, "feature_weight": 50.0}
    assert rows["at"]["default_weights"] == {"loss_weight": 10000.0}
    assert rows["cirkd"]["weights_by_dataset"]["voc"]["pixel_weight"] == 0.01


def test_text(text: str) -> None:
    assert "fitnet  mean squared distance of one feature (verified against original values)" in text
    assert "weights: loss_weight=1.0 (published for cityscapes, voc, ade20k); coco_stuff: loss_weight=10.0" in text
    assert "reads: context, labels; adapters: none" in text
    assert "reads: logits alone; adapters: none" in text
    assert "settings: temperature=1.0, loss_weight=1.0, mask_ignore=False, reduction=mean" in text
    assert all(f"\n{name} " in f"\n{text}" for name in METHODS)
