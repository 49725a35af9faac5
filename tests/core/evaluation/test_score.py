from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkd.data import DATASETS
from segkd.data.layout.paired_files import PairedFiles
from segkd.errors import SegkdError
from segkd.evaluation import protocol_of
from segkd.evaluation.score import Job, inference_of, score
from segkd.evaluation.sources import EVAL_SOURCES, Request
from segkd.metrics import ConfusionMatrix, MetricOptions, scores
from tests.core.evaluation.blocks import Oracle, Pictures

REQUESTS: list[Request] = []
WRONG = [3, 20, 0]


class Three(Pictures):
    OPTIONS = frozenset()

    def __init__(self, path: Path, *, split: str = "val") -> None:
        super().__init__((6, 8), (6, 8), (5, 7))


class Unlabelled(PairedFiles):
    """A split whose labels are not public."""

    OPTIONS = frozenset()
    has_masks = False

    def __init__(self, path: Path, *, split: str = "test") -> None:
        self.pictures = Pictures((6, 8), (6, 8), (5, 7))
        self.labels, self.ids = self.pictures.labels, self.pictures.ids

    def image_path(self, index: int) -> Path:
        return self.pictures.image_path(index)

    def read_image(self, index: int) -> NDArray[np.uint8]:
        return self.pictures.read_image(index)


def open_oracle(request: Request) -> Oracle:
    REQUESTS.append(request)
    return Oracle(*WRONG)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setitem(DATASETS, "three", f"{__name__}:Three")
    monkeypatch.setitem(EVAL_SOURCES, "run", f"{__name__}:open_oracle")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.json").write_text('{"imgsz": [4, 6]}')
    yield tmp_path / "run"
    REQUESTS.clear()


def job(run: Path, **settings: Any) -> Job:
    return Job(str(run), f"three:{run}", **settings)


def expected_counts() -> np.ndarray:
    matrix, oracle, data = ConfusionMatrix(3), Oracle(*WRONG), Pictures((6, 8), (6, 8), (5, 7))
    for index in range(3):
        sample = data.read(index)
        matrix.update(oracle.predict([sample])[0], sample.mask)
    return matrix.counts


def test_a_result_and_its_origin(run: Path) -> None:
    result = score(job(run))
    assert result["miou"] == scores(expected_counts()).miou
    assert result["kind"] == "run" and result["images"] == 3 and result["oracle"] is True
    assert result["protocol"] == {
        "name": "full",
        "labels": "own size",
        "absent": "skip",
        "mode": "whole",
        "crop": None,
        "stride": None,
        "scales": (1.0,),
        "flip": False,
        "test_scale": None,
        "align_corners": None,
        "average": "probabilities",
    }
    assert not {"trimap", "boundary_iou", "bootstrap", "worst"} & set(result)


def test_everything_is_written(run: Path, tmp_path: Path) -> None:
    metrics = MetricOptions((1, 2), 0.1, 2, True, 10)
    out, predictions = tmp_path / "out", tmp_path / "p"
    result = score(job(run, metrics=metrics, worst=2, out=out, save_predictions=predictions, protocol="cirkd"))
    written = json.loads((out / "eval.json").read_text())
    assert [row["id"] for row in written.pop("per_image")] == ["p0", "p1", "p2"]
    assert written == json.loads(json.dumps(result))
    assert [row["id"] for row in result["worst"]] == ["p1", "p0"]
    assert len(list((out / "worst").glob("*.png"))) == 2 and len(list(predictions.glob("*.png"))) == 3
    assert {"trimap", "boundary_iou", "boundary_f", "connectivity", "bootstrap"} <= set(result)
    assert result["protocol"]["align_corners"] is True and result["protocol"]["absent"] == "zero"


def test_a_sliding_window_has_a_size_of_its_own_or_the_runs(run: Path) -> None:
    score(job(run, mode="slide"))
    score(job(run, mode="slide", crop=(9, 9), stride=(3, 4)))
    assert [(r.inference.crop, r.inference.stride) for r in REQUESTS] == [((4, 6), (3, 4)), ((9, 9), (3, 4))]


def test_published_test_scales_come_with_the_protocol_alone() -> None:
    for name, scale in ((None, None), ("mmseg", (512, 2048)), ("cirkd", None)):
        assert inference_of(Job("r"), protocol_of(name), "ade20k").test_scale == scale
    own = Job("r", test_scale=(100, 200))
    assert inference_of(own, protocol_of("mmseg"), "ade20k").test_scale == (100, 200)
    with pytest.raises(SegkdError, match="protocol attnfd resizes images and labels itself"):
        inference_of(own, protocol_of("attnfd"), "pascal_voc")


def test_other_classes_are_refused_before_anything_is_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Oracle, "class_names", ("road", "sea", "tree"))
    with pytest.raises(SegkdError, match=r"has 3 classes, the source 3, and they differ \('sky' for 'sea'\)"):
        score(job(run, save_predictions=run / "p"))
    monkeypatch.setattr(Oracle, "class_names", ("road", "sky"))
    with pytest.raises(SegkdError, match=r"they differ \(the number\)"):
        score(job(run))
    assert not (run / "p").exists()


def test_bad_jobs(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SegkdError, match="--worst writes pictures: say where with --out DIR"):
        score(job(run, worst=3))
    monkeypatch.setattr(Three, "__init__", lambda self, path, split: Pictures.__init__(self, (2, 2), has_masks=False))
    with pytest.raises(SegkdError, match="has no labels to evaluate against"):
        score(job(run))


def test_a_split_without_labels_is_labelled_and_never_measured(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "three", f"{__name__}:Unlabelled")
    result = score(job(run, split="test", save_predictions=tmp_path / "p"))
    assert result["images"] == 3 and result["split"] == "test" and "miou" not in result
    assert len(list((tmp_path / "p").glob("*.png"))) == 3
    for asked in (
        MetricOptions(connectivity=True),
        MetricOptions(bootstrap=10),
        MetricOptions((1,)),
        MetricOptions((), 0.1),
    ):
        with pytest.raises(SegkdError, match=r"has no labels: --save-predictions works; measures \(--detail"):
            score(job(run, split="test", save_predictions=tmp_path / "q", metrics=asked))
    with pytest.raises(SegkdError, match="has no labels to evaluate against"):
        score(job(run, split="test"))
    assert not (tmp_path / "q").exists()


def test_notes_say_that_images_are_few_and_which_class_is_nowhere(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = "3 images: scores rest on them alone, and below 8 there are no confidence intervals"
    assert score(job(run))["notes"] == [few]
    result = score(job(run, metrics=MetricOptions(bootstrap=10, bootstrap_images=8)))
    assert "bootstrap" not in result and "bootstrap" in score(job(run, metrics=MetricOptions(bootstrap=10)))
    read = Three.read_mask
    monkeypatch.setattr(Three, "read_mask", lambda self, index: np.zeros_like(read(self, index)))
    notes = score(job(run))["notes"]
    assert notes[0] == few and notes[1].endswith("have no pixel in the labels")
