from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from segkd.cli import SUMMARIES, cli, main
from segkd.errors import SegkdError
from segkd.manifest import load_manifest
from segkd_export.artifact import ExportResult
from segkd_export.commands.export import export
from segkd_export.graph.camera_frame import CameraOptions
from segkd_export.precision.int8_search import Int8Options
from segkd_export.sources import ExportRequest


def test_help_says_what_the_front_door_says() -> None:
    assert export.get_short_help_str(200) == SUMMARIES["export"]


def test_json_and_the_same_bytes_again(exported: ExportResult, workshop: Path, tmp_path: Path) -> None:
    out = tmp_path / "artifact"
    result = CliRunner().invoke(
        cli,
        [
            "export",
            str(workshop / "student"),
            "--out",
            str(out),
            "--reference",
            "2",
            "--no-teacher",
            "--device",
            "cpu",
            "--json",
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    variant = printed["variants"]["fp32"]
    assert variant["check"]["agreement"] >= 0.9999
    assert variant["nodes"] < 60
    assert printed["reference"] == {"count": 2, "teacher": False}
    assert "reference without teacher labels" in result.stderr
    assert "torchvision" not in result.stderr
    for name in ("model.fp32.onnx", "model.fp32.logits.onnx"):
        assert (out / name).read_bytes() == (exported.folder / name).read_bytes()


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    """Run through the real entry point; the exit code and the one line on stderr."""
    with pytest.raises(SystemExit) as stop:
        main(["export", *words])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return stop.value.code, captured.err


def test_a_run_without_weights(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model.json", "recipe.yaml"):
        shutil.copy(workshop / "student" / name, run)
    code, line = failing(capsys, str(run))
    assert code == 2
    assert "student.safetensors" in line
    assert not (run / "artifact").exists()


def test_other_bad_input(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(workshop / "student")
    code, line = failing(capsys, str(tmp_path))
    assert code == 2
    assert "is no run folder" in line
    code, line = failing(capsys, run, "--precision", "fp61")
    assert code == 2
    assert "unknown precision 'fp61'; did you mean 'fp16'" in line
    code, line = failing(capsys, run, "--teacher", run, "--no-teacher")
    assert code == 2
    assert "exclude each other" in line
    code, line = failing(capsys, run, "--device", "cuda:99")
    assert code == 3
    assert "CUDA" in line or "cuda:99" in line


def test_every_option_reaches_the_library(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ExportRequest] = []

    def stop(request: ExportRequest, say: object) -> None:
        seen.append(request)
        raise SegkdError("enough")

    monkeypatch.setattr("segkd_export.artifact.export_artifact", stop)
    words = "--precision int8,fp16 --batch 1-8 --imgsz 60x100 --frame 120x200 --input nv12 --yuv bt601 "
    words += "--resize letterbox --output-size graph --calibration images:x --calibration-frames 9 "
    words += "--calibration-method entropy --sensitivity --max-drop 0.5 --min-agreement 0.98"
    CliRunner().invoke(cli, ["export", str(workshop / "student"), *words.split()])
    CliRunner().invoke(cli, ["export", str(workshop / "student")])
    first, plain = seen
    assert (first.precisions, first.batch, first.imgsz) == (("int8", "fp16"), (1, 8), (60, 100))
    assert first.camera == CameraOptions((120, 200), "nv12", "bt601", "letterbox", "graph")
    assert first.int8 == Int8Options("images:x", 9, "entropy", sensitivity=True, max_drop=0.5, min_agreement=0.98)
    assert (plain.precisions, plain.batch, plain.camera, plain.int8) == (None, 1, CameraOptions(), Int8Options())


def test_the_table_of_int8(workshop: Path, float_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd_export.variants.to_onnx", lambda *_: float_model)
    words = ["--precision", "int8", "--min-agreement", "0", "--sensitivity", "--calibration-method", "minmax"]
    words += ["--calibration-frames", "3", "--reference", "1", "--no-teacher", "--device", "cpu"]
    out = workshop / "table"
    result = CliRunner().invoke(cli, ["export", str(workshop / "student"), "--out", str(out), *words])
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["variant", "int8", "int8-cpu"]
    assert lines[3].startswith("int8: minmax (asked) on 3 frames; held-out agreement minmax 0.9")
    assert lines[4].startswith("int8: with 0 layers in float 0.9")
    assert sum("decode_head" in line or "backbone" in line for line in lines) == 21
    assert "calibrating on 3 training frames, judging on 3 others" in result.stderr
    assert not (out / "model.fp32.onnx").exists()


def test_bad_int8_input(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, data = str(workshop / "student"), f"cityscapes:{workshop / 'data'}"
    code, line = failing(capsys, run, "--precision", "int8", "--calibration", f"{data},split=val")
    assert code == 2
    assert "calibration images are validation images" in line
    code, line = failing(capsys, run, "--resize", "letterbox")
    assert code == 2
    assert "name it with --frame HxW" in line
    code, line = failing(capsys, run, "--input", "nv12")
    assert code == 2
    assert "even sides" in line


@pytest.mark.parametrize("batch", ["0", "8-1", "2-2", "1-2-3", "a", "1-"])
def test_bad_batches(workshop: Path, capsys: pytest.CaptureFixture[str], batch: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", str(workshop / "student"), "--batch", batch])
    assert stop.value.code == 2
    assert batch in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--max-drop", "0.5"), ("--calibration-frames", "8")])
def test_options_of_int8_without_int8(
    option: str, value: str, workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (str(workshop / "student"), "--precision", "fp32,fp16", option, value, "--out", str(tmp_path / "a"))
    code, error = failing(capsys, *words)
    assert code == 2
    assert f"{option} is for int8, and --precision fp32,fp16 makes none; add int8" in error


NET = """\
import torch
from torch import nn


class Net(nn.Module):
    mean, std, num_classes = (123.0, 116.0, 103.0), (58.0, 57.0, 57.0), 19

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 19, 3, 2, 1)

    def forward(self, x):
        print("from the network")
        x = self.first(x) * 400.0
        centred = x - x.mean(1, keepdim=True)
        return self.last(centred / torch.sqrt((centred**2).mean(1, keepdim=True) + 1e-6))
"""


def test_squares_beyond_halves_in_opset_17(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table, the manifest and stderr say what stays in float32; lint takes it; stdout is the result alone."""
    (tmp_path / "net_of_export.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    words = "torch:net_of_export:Net --imgsz 32x32 --precision fp32,fp16 --opset 17 --reference 2 --out art"
    words += f" --device cpu --data cityscapes:{workshop / 'data'}"
    result = CliRunner().invoke(cli, ["export", *words.split()])
    assert result.exit_code == 0, result.stderr
    variants = load_manifest(tmp_path / "art").variants
    assert {variant.opset for variant in variants.values()} == {17} and variants["fp32"].float_layers == []
    kept = variants["fp16"].float_layers
    assert len(kept) >= 3
    line = next(line for line in result.stdout.splitlines() if line.startswith("fp16: "))
    assert line == f"fp16: {len(kept)} operators in float32, beyond the range of halves: {', '.join(kept)}"
    assert "leave the range of halves (65504" in result.stderr and "from the network" in result.stderr
    assert "2 of 2 reference images have other proportions than the frame of 32x32" in result.stderr
    assert "from the network" not in result.stdout
    linted = CliRunner().invoke(cli, ["lint", "art", "--chip", "orin", "--tensorrt", "8.6"])
    assert linted.exit_code == 0, linted.stdout
