from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segkd.errors import SegkdError
from segkd.report.collect import collect_report
from segkd.report.html import render_report

LABEL_SPACE = {"names": ["road", "sky"], "palette": [[128, 64, 128], [70, 130, 180]], "ignore": 255}
MIOU = {"teacher": 0.75, "student": 0.25, "distilled": 0.5}


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def npy(array: np.ndarray) -> bytes:
    """The bytes of an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def write_run(folder: Path, miou: float) -> None:
    write(
        folder / "run.json",
        {"params": 10, "seconds": 2.0, "eval": {"miou": miou, "per_class": {"road": miou, "sky": None}}},
    )
    write(folder / "model.json", {"label_space": LABEL_SPACE})
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 5, "event": "eval", "miou": miou}) + "\n")


def save_png(path: Path, pixels: np.ndarray) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path.name


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    """What a quickstart leaves, in small."""
    for name, miou in MIOU.items():
        write_run(tmp_path / name, miou)
        save_png(tmp_path / "predictions" / name / "a.png", np.array([[0, 1]], np.uint8))
    save_png(tmp_path / "image.png", np.full((1, 2, 3), (9, 8, 7), np.uint8))
    save_png(tmp_path / "a_gtFine_labelIds.png", np.array([[7, 4]], np.uint8))
    write(
        tmp_path / "artifact" / "parity.json", {"agreement": 1.0, "variants": {"fp32": {"agreement": 1.0, "frames": 8}}}
    )
    write(tmp_path / "artifact" / "bench.json", {"latency_ms": {"p50": 1.5}})
    gates = [{"name": "miou_floor", "limit": 0.4, "measured": 0.5, "passed": True}]
    write(tmp_path / "release" / "x" / "release.json", {"passed": True, "gates": gates})
    picture = {"id": "a", "image": "image.png", "truth": "a_gtFine_labelIds.png"}
    picture |= {name: f"predictions/{name}/a.png" for name in MIOU}
    summary: dict[str, Any] = {name: {"miou": miou, "run": name} for name, miou in MIOU.items()}
    summary |= {
        "parity": {"file": "artifact/parity.json"},
        "bench": {"file": "artifact/bench.json"},
        "release": {"file": "release/x/release.json"},
        "pictures": [picture],
        "steps": [{"command": "segkd train", "seconds": 2.0}],
    }
    write(tmp_path / "summary.json", summary)
    return tmp_path


def test_a_workflow(workflow: Path) -> None:
    report = collect_report(workflow)
    assert [(row.name, row.miou) for row in report.headlines] == [
        ("student alone", 0.25),
        ("distilled", 0.5),
        ("teacher", 0.75),
    ]
    assert report.verdict == ("Distillation raised the student's mIoU: 25.0 % alone, 50.0 % distilled (+25.0 points).")
    assert report.classes is not None
    assert report.classes.baseline == "student alone"
    assert [row.agreement for row in report.parity] == [1.0]
    assert [gate.name for gate in report.gates] == ["miou_floor"]
    assert report.latency is not None
    assert report.latency.p50_ms == 1.5
    assert [chart.title for chart in report.charts] == ["Validation mIoU"]
    assert report.steps[0].command == "segkd train"
    assert render_report(report).count("<section") == 8


def test_pictures_of_a_workflow(workflow: Path) -> None:
    pictures = collect_report(workflow).pictures
    assert pictures is not None
    assert pictures.names == ["road", "sky"]
    panels = {panel.caption: panel.pixels.tolist() for panel in pictures.rows[0].panels}
    assert panels == {
        "frame": [[[9, 8, 7], [9, 8, 7]]],
        "ground truth": [[0, 255]],  # label ids 7 = road and 4 = ignored
        "student alone": [[0, 1]],
        "distilled": [[0, 1]],
        "teacher": [[0, 1]],
    }


def test_runs_and_evidence_may_be_named_by_their_paths(workflow: Path) -> None:
    summary = json.loads((workflow / "summary.json").read_text())
    for name in MIOU:
        del summary[name]
    summary |= {"runs": {name: name for name in MIOU}, "parity": "artifact/parity.json", "title": "Mine"}
    write(workflow / "summary.json", summary)
    report = collect_report(workflow)
    assert report.title == "Mine"
    assert len(report.headlines) == 3
    assert len(report.parity) == 1


def test_a_loss_is_not_called_a_gain(workflow: Path) -> None:
    write_run(workflow / "distilled", 0.2)
    assert (
        "did not raise the student's mIoU: 25.0 % alone, 20.0 % distilled (-5.0 points)"
        in collect_report(workflow).verdict
    )


@pytest.mark.parametrize("name", ["image.png", "predictions/teacher/a.png", "artifact/bench.json"])
def test_a_file_that_the_summary_names_must_be_there(workflow: Path, name: str) -> None:
    (workflow / name).unlink()
    with pytest.raises(SegkdError, match=Path(name).name):
        collect_report(workflow)


def test_a_summary_that_is_none(tmp_path: Path) -> None:
    write(tmp_path / "summary.json", [1])
    with pytest.raises(SegkdError, match=r"summary\.json: expected an object, got list"):
        collect_report(tmp_path)


def test_a_run(workflow: Path) -> None:
    report = collect_report(workflow / "student")
    assert report.title == "Run student"
    assert [row.miou for row in report.headlines] == [0.25]
    assert report.pictures is None


def test_a_folder_of_runs(workflow: Path) -> None:
    (workflow / "summary.json").unlink()
    report = collect_report(workflow)
    assert [row.name for row in report.headlines] == ["distilled", "student", "teacher"]
    assert report.title.startswith("3 runs in ")


def test_an_artifact(tmp_path: Path) -> None:
    from tests.core.test_manifest import contents

    values = contents()
    keys = ("frames", "truth", "student")
    values["reference"]["files"] = {key: f"reference/{key}.npy" for key in keys}
    write(tmp_path / "manifest.json", values)
    (tmp_path / "reference").mkdir()
    np.save(tmp_path / "reference" / "frames.npy", np.zeros((10, 4, 8, 3), np.uint8))
    for key in keys[1:]:
        np.save(tmp_path / "reference" / f"{key}.npy", np.ones((10, 4, 8), np.uint8))
    write(
        tmp_path / "parity.json",
        {"variants": {"fp32": {"agreement": 1.0, "gates": [{"name": "agreement", "passed": True}]}}},
    )
    report = collect_report(tmp_path)
    assert report.pictures is not None
    assert [row.name for row in report.pictures.rows] == [f"reference {index}" for index in (0, 1, 3, 5, 6, 8)]
    assert [panel.caption for panel in report.pictures.rows[0].panels] == ["frame", "ground truth", "student"]
    assert [gate.name for gate in report.gates] == ["fp32: agreement"]
    assert report.latency is None
    assert "sky" in render_report(report)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no array", "is no array of numbers"),
        (b"", "is no array of numbers"),
        (npy(np.zeros((2, 4, 8, 3), np.uint8))[:150], "is no array of numbers"),
        (npy(np.array([{}], object)), "is no array of numbers"),
        (npy(np.zeros((2, 4, 8, 3), np.float32)), "found float32"),
        (npy(np.zeros((), np.uint8)), r"found uint8 \(\)"),
        (npy(np.zeros((2, 4, 8, 5), np.uint8)), r"found uint8 \(2, 4, 8, 5\)"),
        (npy(np.zeros((2, 0, 8, 3), np.uint8)), r"found uint8 \(2, 0, 8, 3\)"),
    ],
)
def test_an_artifact_whose_reference_is_damaged(tmp_path: Path, content: bytes, why: str) -> None:
    from tests.core.test_manifest import contents

    write(tmp_path / "manifest.json", contents())
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "frames.npy").write_bytes(content)
    with pytest.raises(SegkdError, match=rf"frames\.npy: .*{why}.*; export it again"):
        collect_report(tmp_path)


def test_a_folder_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(SegkdError, match=r"nothing to report: expected summary\.json"):
        collect_report(tmp_path)
