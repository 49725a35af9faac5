from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd import cli
from segkd_distill.train import fit
from tests.distill.commands.command_line import segkd
from tests.distill.training import recipe_of


@pytest.fixture(scope="module")
def run(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    fit(recipe_of(streets, "train.iters=4", "eval.every=2"), folder, device="cpu")
    return folder


def test_help_and_summary() -> None:
    assert cli.SUMMARIES["eval"] in " ".join(segkd("--help").stdout.split())
    assert "--save-predictions" in segkd("eval", "--help").stdout


def test_json_reproduces_the_runs_own_scores(run: Path, streets: Path, tmp_path: Path) -> None:
    result = segkd("eval", run, "--device", "cpu", "--json", "--save-predictions", tmp_path / "p")
    assert result.exit_code == 0, result.output
    scored, record = json.loads(result.stdout), json.loads((run / "run.json").read_text())
    assert scored["miou"] == pytest.approx(record["eval"]["miou"], abs=1e-9)
    assert scored["per_class"] == record["eval"]["per_class"]
    keys = {"miou", "macc", "aacc", "per_class", "classes", "data", "images", "run", "weights_sha256"}
    assert keys <= set(scored) and scored["images"] == 4
    assert len(list((tmp_path / "p").glob("*.png"))) == len(list((tmp_path / "p" / "color").glob("*.png"))) == 4


def test_table(run: Path, streets: Path) -> None:
    lines = segkd("eval", run, "--data", f"cityscapes:{streets}", "--split", "train", "--device", "cpu").stdout
    rows = lines.splitlines()
    assert rows[0].split() == ["class", "IoU", "Acc"] and rows[1].startswith("road ") and len(rows) == 22
    assert next(row for row in rows if row.startswith("bus ")).split() == ["bus", "-", "-"]
    assert rows[-2].startswith("mIoU ") and rows[-1] == f"20 images of cityscapes:{streets}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere"], "is no run folder"),
        (["RUN", "--data", "cityscapes:/nowhere"], "no folder /nowhere"),
        (["RUN", "--split", "tset"], "leftImg8bit/tset"),
        (["RUN", "--device", "gpu"], "is not known"),
    ],
)
def test_bad_input(run: Path, arguments: list[str], message: str) -> None:
    result = segkd("eval", *[str(run) if word == "RUN" else word for word in arguments])
    assert result.exit_code == 2 and message in result.stderr.splitlines()[-1]
    assert result.stdout == "" and "Traceback" not in result.output
