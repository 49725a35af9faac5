from __future__ import annotations

import json

import pytest

from segkd_distill.models.catalogue import catalogue
from segkd_distill.models.zoo import MODELS
from tests.distill.commands.command_line import segkd

NAMES = ("isanet-r101", "hrnet-w18s", "deeplabv3plus-mv2", "attnfd-deeplabv3plus-mv2", "quickstart-mv2")


@pytest.fixture(autouse=True)
def few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them take seconds; tests/distill/models/catalogue/test_catalogue.py describes them once."""
    monkeypatch.setattr(catalogue, "MODELS", {name: MODELS[name] for name in NAMES})


def test_text_has_the_three_tables() -> None:
    result = segkd("list", "models", "--classes", 5, "--imgsz", "64x96")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "5 classes, 64x96"
    assert [line.split()[0] for line in lines[2 : 2 + len(NAMES)]] == list(NAMES)
    assert "c1 18/4  c2 36/8  c3 72/16  c4 144/32  c4_pre 144/32  context 270/4  decoder 270/4" in result.stdout
    published = next(line for line in lines if line.startswith("isanet-r101") and "BPKD" in line)
    assert published.split()[1:6] == ["56.8", "56.800", "228.21", "228.21", "150"]
    small = next(line for line in lines if line.startswith("hrnet-w18s") and "BPKD" in line)
    assert small.split()[1:6] == ["3.97", "3.975", "10.49", "10.47", "150"] and small.endswith("[1]")
    assert any(line.startswith("[1] mmsegmentation resizes maps") for line in lines)
    assert lines[-1].startswith("FLOPs: multiply-adds of one image by fvcore's rules")


def test_json_reproduces_the_published_table() -> None:
    result = segkd("list", "models", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    row = rows["deeplabv3plus-mv2"]
    assert (row["num_classes"], row["imgsz"]) == (19, [512, 512])
    assert round(row["like_published"]["flops"] / 1e9, 2) == row["published"]["flops_g"] == 69.6
    assert row["like_published"]["total_parameters"] == 15_345_244
    assert "fvcore" in row["flops_convention"]


def test_bad_size() -> None:
    result = segkd("list", "models", "--imgsz", "512,1024")
    assert result.exit_code == 2
    assert "'512,1024' is no size; write HEIGHTxWIDTH" in result.output
