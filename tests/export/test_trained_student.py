"""The bars of a trained student: what each precision may change, and that validation agrees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd.cli import cli

pytestmark = pytest.mark.long

# Share of the source's labels and loss of mIoU in points, on the reference frames.
BARS = {"fp32": (0.9999, 0.05), "fp16": (0.999, 0.2), "int8": (0.99, 1.0), "int8-cpu": (0.99, 1.0)}


def run(*words: object) -> None:
    cli.main([str(word) for word in words], prog_name="segkd", standalone_mode=False)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of the quickstart, trained for half a minute, in every variant."""
    root = tmp_path_factory.mktemp("trained")
    run("data", "synth", "--out", root / "data", "--train", 60, "--val", 16, "--imgsz", "96x192", "--seed", 3)
    data = f"cityscapes:{root / 'data'}"
    settings = ["--set", "train.iters=200", "--set", "eval.every=200"]
    run("train", "--recipe", "quickstart-student", "--data", data, "--seed", 3, *settings, "--out", root / "run")
    run("export", root / "run", "--precision", "fp32,fp16,int8", "--max-drop", 1.0, "--out", root / "artifact")
    run("validate", root / "artifact", "--data", data)
    return root / "artifact"


@pytest.mark.parametrize("variant", BARS)
def test_bars(artifact: Path, variant: str) -> None:
    part = json.loads((artifact / "parity.json").read_text())["variants"][variant]
    agreement, drop = BARS[variant]
    assert part["miou"]["source"] > 0.25, "the network has learnt something"
    assert part["agreement"] >= agreement
    assert -100 * part["miou"]["delta"] <= drop
    assert all(gate["passed"] for gate in part["gates"])


def test_int8_was_made_without_validation_images(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text())
    reference = set(json.loads((artifact / "reference/ids.json").read_text()))
    used = {*manifest["calibration"]["ids"], *manifest["calibration"]["held_out"]}
    assert len(used) == 60 and not used & reference
    assert manifest["calibration"]["reached"]["drop"] <= 1.0
    assert manifest["calibration"]["reached"]["agreement"] >= manifest["calibration"]["min_agreement"]
