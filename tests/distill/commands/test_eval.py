from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd import cli
from segkd_distill.train import fit
from tests.distill.commands.command_line import segkd
from tests.distill.training import recipe_of, write_folder


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
    assert rows[0].split() == ["class", "IoU", "Acc"] and rows[1].startswith("road ") and len(rows) == 23
    assert next(row for row in rows if row.startswith("bus ")).split() == ["bus", "-", "-"]
    assert rows[-3].startswith("mIoU ") and rows[-2] == f"20 images of cityscapes:{streets}"
    assert rows[-1] == "note: rider, bus, train, motorcycle have no pixel in the labels"


def test_detail_measures_everything_and_writes_it(run: Path, streets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    data = ["--data", f"cityscapes:{streets},frames=:8", "--split", "train", "--device", "cpu"]
    result = segkd("eval", run, *data, "--detail", "--worst", 2, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [band["width_px"] for band in found["trimap"]["curve"]] == [1, 2, 3, 5, 10]
    assert found["boundary_iou"]["ratio"] == 0.005 and found["boundary_f"]["theta_px"] == 3
    assert found["bootstrap"]["resamples"] == 1000 and "connectivity" in found
    written = json.loads((out / "eval.json").read_text())
    assert len(written.pop("per_image")) == 8 and written == found
    assert len(list((out / "worst").glob("*.png"))) == 2


def test_intervals_need_8_images(run: Path) -> None:
    found = json.loads(segkd("eval", run, "--device", "cpu", "--json", "--bootstrap", 7).stdout)
    assert "bootstrap" not in found and "below 8 there are no confidence intervals" in found["notes"][0]


def test_parameters_of_the_measures(run: Path, streets: Path) -> None:
    measures = ["--trimap", "4,2", "--no-void-borders", "--boundary-iou", 0.05, "--boundary-f", 1.5, "--bootstrap", 7]
    data = ["--data", f"cityscapes:{streets},frames=:8", "--split", "train", "--device", "cpu"]
    result = segkd("eval", run, *data, "--json", *measures, "--seed", 3)
    found = json.loads(result.stdout)
    assert [band["width_px"] for band in found["trimap"]["curve"]] == [2, 4]
    assert found["trimap"]["void_borders"] is False and found["boundary_iou"]["ratio"] == 0.05
    assert found["boundary_f"]["theta_px"] == 1.5
    assert (found["bootstrap"]["resamples"], found["bootstrap"]["seed"]) == (7, 3)


def test_modes_and_protocols_are_part_of_the_result(run: Path) -> None:
    ways = ["--mode", "slide", "--crop", "32x64", "--scales", "0.5,1", "--flip", "--protocol", "cirkd"]
    found = json.loads(segkd("eval", run, "--device", "cpu", "--json", *ways).stdout)["protocol"]
    assert found["mode"] == "slide" and found["crop"] == [32, 64] and found["stride"] == [21, 43]
    assert found["scales"] == [0.5, 1.0] and found["flip"] is True
    assert (found["name"], found["absent"], found["align_corners"], found["average"]) == (
        "cirkd",
        "zero",
        True,
        "logits",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere"], "is no run folder"),
        (["RUN", "--data", "cityscapes:/nowhere"], "no folder /nowhere"),
        (["RUN", "--split", "tset"], "leftImg8bit/tset"),
        (["RUN", "--device", "gpu"], "is not known"),
        (["RUN", "--trimap", "1,x"], "--trimap 1,x: expected numbers separated by commas"),
        (["RUN", "--trimap", "0"], "widths of at least 1 pixel"),
        (["RUN", "--boundary-iou", "2"], "above 0 and below 1"),
        (["RUN", "--no-void-borders"], "ask for one with --trimap PX[,PX...] or --detail"),
        (["RUN", "--boundary-f", "0"], "at least 1 pixel"),
        (["RUN", "--scales", "0,1"], "factors above 0"),
        (["RUN", "--crop", "32x64"], "belong to --mode slide"),
        (["RUN", "--protocol", "mmsg"], "--protocol"),
        (["RUN", "--protocol", "attnfd", "--test-scale", "64x128"], "resizes images and labels itself"),
        (["RUN", "--worst", "2"], "say where with --out DIR"),
        (["RUN", "--model", "pspnet-r18"], "--model pspnet-r18 is for weights files"),
        (["RUN/student.safetensors"], "say of which network with --model NAME"),
    ],
)
def test_bad_input(run: Path, arguments: list[str], message: str) -> None:
    result = segkd("eval", *[word.replace("RUN", str(run)) for word in arguments])
    assert result.exit_code == 2 and message in result.stderr.splitlines()[-1]
    assert result.stdout == "" and "Traceback" not in result.output


def test_weights_of_other_classes_name_what_eval_can_do(run: Path, tmp_path: Path) -> None:
    data = f"folder:{write_folder(tmp_path)}"
    file = tmp_path / "w.safetensors"
    file.write_bytes((run / "student.safetensors").read_bytes())
    result = segkd("eval", file, "--model", "quickstart-mv2", "--data", data, "--device", "cpu")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(
        "the weights are for 19 classes, the network has 2 (decode_head.conv_seg.weight): "
        "score it on data with the classes that it was trained on"
    )


@pytest.mark.parametrize("measure", [["--trimap", "0"], ["--boundary-iou", "2"], ["--boundary-f", "0"]])
def test_measures_are_refused_before_the_network_is_opened(run: Path, measure: list[str]) -> None:
    result = segkd("eval", run, *measure)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1  # no "device: ..." before it
