from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd_deploy.artifact import open_artifact
from segkd_deploy.parity import MARGIN_EPS, _gates, count_flips, limits_of, logits_finite, validate_artifact
from tests.deploy.artifacts import COUNT, HEIGHT_PX, NAMES, WIDTH_PX, make_artifact, make_frames
from tests.deploy.blocks import Blocks

PIXELS = COUNT * HEIGHT_PX * WIDTH_PX


def failed(result: dict) -> list[str]:
    return [gate["name"] for gate in result["variants"]["fp32"]["gates"] if not gate["passed"]]


def test_right_graph_agrees_everywhere(pristine: Path) -> None:
    result = validate_artifact(open_artifact(pristine))
    part = result["variants"]["fp32"]
    assert (result["agreement"], result["passed"]) == (1.0, True)
    assert part["flips"] == {"total": 0, "interior": 0, "boundary": 0, "decided": 0}
    assert part["miou"]["delta"] == 0.0 and set(part["per_class_delta"].values()) == {0.0}
    assert (part["frames"], part["pixels"], part["logits_finite"]) == (COUNT, PIXELS, True)
    assert part["whole_set"] is None
    assert [gate["name"] for gate in part["gates"]] == ["agreement", "miou_delta", "logits_finite"]


def test_scores_against_truth_and_teacher_by_hand(pristine: Path) -> None:
    part = validate_artifact(open_artifact(pristine))["variants"]["fp32"]
    # The truth of 4 x 6 pixels of one block is one class on; the first 4 columns of every frame are ignored.
    labels = make_frames().argmax(-1)
    truth = labels.copy()
    truth[0, :4, -6:] = (truth[0, :4, -6:] + 1) % 3
    iou = []
    for index in range(3):
        predicted, wanted = labels[:, :, 4:] == index, truth[:, :, 4:] == index
        iou.append((predicted & wanted).sum() / (predicted | wanted).sum())
    assert part["miou"]["source"] == pytest.approx(np.mean(iou)) and part["miou"]["source"] < 1
    assert part["teacher"]["miou"] == 1.0
    assert part["teacher"]["agreement_graph"] == part["teacher"]["agreement_source"] == 1 - 24 / PIXELS
    against = part["teacher"]["miou_graph_against_teacher"]
    assert against == part["teacher"]["miou_source_against_teacher"] and 0.9 < against < 1


def test_swapped_channels_flip_the_interior(tmp_path: Path) -> None:
    result = validate_artifact(open_artifact(make_artifact(tmp_path / "swapped", channels=(2, 1, 0))))
    flips = result["variants"]["fp32"]["flips"]
    # Everything but the green blocks, whose own channel stays the strongest.
    assert flips["total"] == (make_frames().argmax(-1) != 1).sum()
    assert flips["interior"] > flips["total"] / 4 and flips["decided"] == flips["total"]
    assert result["agreement"] == 1 - flips["total"] / PIXELS
    assert not result["passed"] and failed(result) == ["agreement", "miou_delta"]


def test_nan_logits_fail_though_every_label_is_right(tmp_path: Path) -> None:
    result = validate_artifact(open_artifact(make_artifact(tmp_path / "nan", twin_bias=math.nan)))
    assert result["agreement"] == 1.0
    assert not result["passed"] and failed(result) == ["logits_finite"]


@pytest.mark.parametrize("bias", [math.nan, math.inf, 0.0])
def test_logits_finite(tmp_path: Path, bias: float) -> None:
    folder = make_artifact(tmp_path / "artifact", batch=2, twin_bias=bias)
    assert logits_finite(folder / "model.fp32.logits.onnx", make_frames(3), 2) is math.isfinite(bias)


def test_flips_are_split_by_place_and_margin() -> None:
    source = np.zeros((1, 9, 12), np.uint8)
    source[:, :, 6:] = 1  # a boundary between columns 5 and 6: within 2 px are columns 4 to 7
    margins = np.full(source.shape, 1.0, np.float16)
    labels = source.copy()
    labels[0, 4, [0, 3, 4, 7, 8]] = 2
    margins[0, 4, [0, 4]] = MARGIN_EPS / 2
    assert count_flips(labels, source, margins) == {"total": 5, "interior": 3, "boundary": 2, "decided": 3}


def test_whole_set(pristine: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    result = validate_artifact(
        open_artifact(pristine), dataset=Blocks(tmp_path), dataset_name="blocks", progress=steps.append
    )
    whole = result["variants"]["fp32"]["whole_set"]
    assert (whole["data"], whole["images"], sum(steps)) == ("blocks", 5, 5)
    assert set(whole["per_class"]) == set(NAMES)
    assert 0.9 < whole["miou"] < 1


def test_limits() -> None:
    assert (limits_of("fp32").agreement, limits_of("fp32").miou_delta) == (0.9999, 0.0005)
    with pytest.raises(SegkdError, match="no limits for precision 'fp8'; known: fp32, fp16, int8"):
        limits_of("fp8")


def test_a_batch_that_does_not_divide_the_frames(tmp_path: Path) -> None:
    assert validate_artifact(open_artifact(make_artifact(tmp_path / "two", batch=2)))["passed"]
    assert validate_artifact(open_artifact(make_artifact(tmp_path / "any", batch=None)))["passed"]


@pytest.mark.parametrize(("precision", "passed"), [("fp32", False), ("int8", True)])
def test_a_gain_of_miou_is_a_fault_only_where_nothing_should_change(precision: str, passed: bool) -> None:
    result = {"agreement": 1.0, "miou": {"delta": 0.02}, "logits_finite": True}
    gates = {gate["name"]: gate["passed"] for gate in _gates(result, limits_of(precision))}
    assert gates == {"agreement": True, "miou_delta": passed, "logits_finite": True}
    lost = {**result, "miou": {"delta": -0.02}}
    assert not all(gate["passed"] for gate in _gates(lost, limits_of(precision)))
