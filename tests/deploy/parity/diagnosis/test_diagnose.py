from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkd_deploy.artifact import open_artifact
from segkd_deploy.parity import Plan, validate_artifact
from segkd_deploy.parity.diagnosis.diagnose import FAULTS
from tests.deploy.parity.small import MEAN, RIGHT, STD, Build, make_artifact

# What is built wrongly -> what it is called, and what its words must hold.
WRONG: dict[str, tuple[Build, str, str]] = {
    "x / 255": (Build(mean=(0, 0, 0), std=(255, 255, 255)), "wrong_normalisation", "x / 255, without mean and std"),
    "not normalised": (Build(mean=(0, 0, 0), std=(1, 1, 1)), "wrong_normalisation", "nothing subtracted or divided"),
    "one std": (Build(std=(58, 58, 58)), "wrong_normalisation", "one std for all channels"),
    "no mean": (Build(mean=(0, 0, 0)), "wrong_normalisation", "mean not subtracted"),
    "half a step": (Build(mean=(120.5, 110.5, 100.5)), "wrong_normalisation", "another mean"),
    "other std": (Build(std=(70, 55, 50)), "wrong_normalisation", "another std"),
    "swapped": (Build(swapped=True), "swapped_channels", "Red and blue are exchanged"),
    "swapped and x / 255": (
        Build(swapped=True, mean=(0, 0, 0), std=(255, 255, 255)),
        "wrong_normalisation",
        "Red and blue are exchanged, and the frame is normalised by x / 255",
    ),
    "train mode": (Build(batch_statistics=True), "train_mode_batch_norm", "at half the contrast"),
    "align_corners": (Build(place="align_corners"), "align_corners", "bilinear with align_corners"),
    "asymmetric": (Build(place="asymmetric"), "asymmetric_coordinates", "asymmetric coordinates"),
    "nearest": (Build(mode="nearest", place="asymmetric"), "nearest_upsampling", "upsampled nearest"),
    "bicubic": (Build(mode="cubic"), "resize_mode", "bicubic"),
    "one too many": (Build(shift=1), "label_shift", "shifted by +1"),
    "one too few": (Build(shift=-1), "label_shift", "shifted by -1"),
    "turned logits": (Build(order=(3, 0, 1, 2)), "label_shift", "logits' classes are shifted by +1"),
    "renamed": (Build(order=(0, 2, 1, 3)), "label_mapping", "car (1) in place 2"),
    "other weights": (Build(noise=0.3), "unexplained", "Is it the same network"),
}


def findings(folder: Path, variant: str = "fp32", **options: Any) -> list[dict[str, Any]]:
    part = validate_artifact(open_artifact(folder), Plan(threads=1, **options))["variants"][variant]
    return list(part["diagnosis"])


@pytest.mark.parametrize("name", WRONG)
def test_names_what_is_wrong(tmp_path: Path, name: str) -> None:
    build, fault, words = WRONG[name]
    (found,) = findings(make_artifact(tmp_path / "a", {"fp32": build}))
    assert found["fault"] == fault and words in found["text"], found
    assert found["fault"] in FAULTS
    if fault not in ("train_mode_batch_norm", "unexplained"):
        assert found["after"] > found["before"] and found["after"] > 0.995


@pytest.mark.parametrize("high", [8.0, 10.0, 12.0])
def test_accuses_no_clean_graph(tmp_path: Path, high: float) -> None:
    build = replace(RIGHT, quantised=(0.0, high))
    folder = make_artifact(tmp_path / "a", {"fp32": RIGHT, "int8": build})
    result = validate_artifact(open_artifact(folder), Plan(threads=1))
    assert result["passed"] and all(not part["diagnosis"] for part in result["variants"].values())


def test_the_numbers_of_a_wrong_normalisation_are_found(tmp_path: Path) -> None:
    (found,) = findings(make_artifact(tmp_path / "a", {"fp32": Build(mean=(100, 110, 125), std=(66, 55, 44))}))
    assert found["fault"] == "wrong_normalisation"
    np.testing.assert_allclose(found["facts"]["mean"], (100, 110, 125), atol=1.0)
    np.testing.assert_allclose(found["facts"]["std"], (66, 55, 44), atol=1.0)


def test_a_fault_on_either_side_hides_none_on_the_other(tmp_path: Path) -> None:
    found = findings(make_artifact(tmp_path / "a", {"fp32": Build(swapped=True, place="align_corners")}))
    assert [one["fault"] for one in found] == ["swapped_channels", "align_corners"]


def test_the_source_may_align_corners_itself(tmp_path: Path) -> None:
    source = Build(place="align_corners")
    assert not findings(make_artifact(tmp_path / "same", {"fp32": source}, source=source))
    (found,) = findings(make_artifact(tmp_path / "other", {"fp32": RIGHT}, source=source))
    assert found["fault"] == "align_corners" and "network upsamples bilinear with align_corners" in found["text"]


@pytest.mark.parametrize("high", [1.0, 600.0])
def test_ranges_that_are_too_narrow_or_too_wide(tmp_path: Path, high: float) -> None:
    folder = make_artifact(tmp_path / "a", {"fp32": RIGHT, "int8": replace(RIGHT, quantised=(-high, high))})
    (found,) = findings(folder, "int8")
    assert found["fault"] == "calibration" and "active keeps" in found["text"]
    (misfit,) = found["facts"]["misfits"]
    assert (misfit["clipped"] > 0.1) == (high == 1.0) and (misfit["used"] < 0.1) == (high == 600.0)
    assert found["after"] > 0.99 > found["before"]


def test_ranges_are_seen_without_a_wider_graph(tmp_path: Path) -> None:
    (found,) = findings(make_artifact(tmp_path / "a", {"int8": replace(RIGHT, quantised=(-1.0, 1.0))}), "int8")
    assert found["fault"] == "calibration"


def test_eight_bits_that_are_too_few_are_no_fault(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "a", {"fp32": RIGHT, "int8": replace(RIGHT, quantised=(-12.0, 12.0))})
    (found,) = findings(folder, "int8", gates={"int8.agreement": 0.9999})
    assert found["fault"] == "quantisation_loss" and "1 of 1 ranges fit" in found["text"]


def test_eight_bits_are_not_blamed_for_other_weights_before_them(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "a", {"fp32": RIGHT, "int8": replace(RIGHT, quantised=(-12.0, 12.0), noise=0.05)})
    (found,) = findings(folder, "int8")
    assert found["fault"] == "unexplained"


def test_logits_that_are_not_finite(tmp_path: Path) -> None:
    (found,) = findings(make_artifact(tmp_path / "a", {"fp32": Build(gain=float("inf"))}))
    assert found["fault"] == "not_finite" and "3 of 3 frames" in found["text"]


@pytest.mark.parametrize("batch", [2, None])
def test_frames_that_see_each_other(tmp_path: Path, batch: int | None) -> None:
    (found,) = findings(make_artifact(tmp_path / "a", {"fp32": Build(batch_statistics=True)}, batch=batch))
    assert found["fault"] == "train_mode_batch_norm" and "the frame beside it" in found["text"]
    assert found["facts"]["companion_change"] > 0.01


@pytest.mark.parametrize("name", ["x / 255", "swapped", "train mode", "align_corners", "one too many"])
def test_artifacts_of_older_versions_have_no_logits(tmp_path: Path, name: str) -> None:
    build, fault, _ = WRONG[name]
    (found,) = findings(make_artifact(tmp_path / "a", {"fp32": build}, logits=False))
    assert found["fault"] == fault


def test_without_a_twin_nothing_is_tried(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "a", {"fp32": Build(swapped=True)}, twins=False)
    (found,) = findings(folder)
    assert found["fault"] == "unexplained" and "no graph that gives logits" in found["text"]


def test_a_diagnosis_can_be_left_out(tmp_path: Path) -> None:
    assert not findings(make_artifact(tmp_path / "a", {"fp32": Build(swapped=True)}), diagnose=False)


def test_constants_of_the_tests_are_those_of_the_graph() -> None:
    assert (RIGHT.mean, RIGHT.std) == (MEAN, STD)
