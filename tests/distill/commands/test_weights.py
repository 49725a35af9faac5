from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import pytest
import torch

from segkd import cli
from segkd_distill.models.catalogue.weights_table import WEIGHTS
from segkd_distill.models.zoo import build_model
from tests.distill.commands.command_line import segkd, small
from tests.distill.models.file_server import serve

NAME = "resnet18-v1c"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "segkd" / "weights"


def test_help_and_list(cache: Path) -> None:
    assert cli.SUMMARIES["weights"] in segkd("weights", "--help").stdout
    listed = segkd("weights", "list")
    assert listed.exit_code == 0 and f"fetched files lie in {cache}" in listed.stdout
    assert any(line.split()[:5] == [NAME, "-", "ImageNet", "backbone", "of"] for line in listed.stdout.splitlines())
    rows = json.loads(segkd("weights", "list", "--json").stdout)
    assert [row["name"] for row in rows] == list(WEIGHTS) and all(row["path"] is None for row in rows)


def test_fetch_then_train(streets: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the table to a run: the backbone of the quickstart's student, published for this test."""
    torch.manual_seed(5)
    backbone = build_model("quickstart-mv2", 3).backbone.state_dict()
    buffer = io.BytesIO()
    torch.save({"state_dict": backbone}, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    with serve(content, cut=10_000) as server:
        row = dataclasses.replace(WEIGHTS[NAME], url=server.url, sha256=digest[:8])
        monkeypatch.setitem(WEIGHTS, NAME, row)
        missing = segkd("train", *small(streets, tmp_path / "run"), "--backbone-weights", NAME)
        assert missing.exit_code == 2 and f"`segkd weights fetch {NAME}`" in missing.stderr
        cut = segkd("weights", "fetch", NAME)
        assert cut.exit_code == 2 and f"after 10000 of {len(content)} bytes" in cut.stderr
        fetched = segkd("weights", "fetch", NAME)
        assert fetched.exit_code == 0, fetched.output
        assert fetched.stdout.splitlines() == [
            f"fetched: {cache / 'w.pth'}",
            f"sha256 {digest}; its first 8 digits are those of the publisher",
        ]
        again = json.loads(segkd("weights", "fetch", NAME, "--json").stdout)
        assert again == {"name": NAME, "path": str(cache / "w.pth"), "sha256": digest, "downloaded": False}
    assert server.asked == [None, "bytes=10000-"]
    trained = segkd("train", *small(streets, tmp_path / "run"), "--backbone-weights", NAME, "--iters", 1)
    assert trained.exit_code == 0, trained.output
    assert f"w.pth: {len(backbone)} tensors loaded (open-mmlab backbone)" in trained.stderr


def test_unknown_name() -> None:
    result = segkd("weights", "fetch", "resnet18-v1b")
    assert result.exit_code == 2 and f"did you mean '{NAME}'" in result.stderr


def test_a_published_recipe_wants_weights_or_the_word(streets: Path, tmp_path: Path) -> None:
    options = ["--recipe", "cityscapes-pspnet-r18", *small(streets, tmp_path / "run"), "--iters", 1]
    refused = segkd("train", *options)
    assert refused.exit_code == 2 and refused.stderr.splitlines()[-1].endswith("or say --from-scratch")
    allowed = segkd("train", *options, "--from-scratch", "--set", "augment.crop=[32,64]")
    assert allowed.exit_code == 0, allowed.output
    assert "from_scratch: true" in (tmp_path / "run" / "recipe.yaml").read_text()
