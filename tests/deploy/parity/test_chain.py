from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd_deploy.artifact import open_artifact
from segkd_deploy.parity import Plan, chain, steps, validate_artifact
from segkd_deploy.parity.diagnosis.diagnose import FAULTS
from segkd_deploy.runners import decoding
from segkd_deploy.runners.onnxruntime import OnnxRuntimeRunner
from tests.deploy.artifacts import COUNT, HEIGHT_PX, NAMES, WIDTH_PX, make_artifact, make_frames
from tests.deploy.blocks import Blocks
from tests.deploy.parity import small

PIXELS = COUNT * HEIGHT_PX * WIDTH_PX
QUANTISED = replace(small.RIGHT, quantised=(0.0, 10.0))


def failed(result: dict[str, Any]) -> list[str]:
    return [gate["name"] for gate in result["variants"]["fp32"]["gates"] if not gate["passed"]]


def test_right_graph_agrees_everywhere(pristine: Path) -> None:
    result = validate_artifact(open_artifact(pristine))
    part = result["variants"]["fp32"]
    assert (result["agreement"], result["passed"]) == (1.0, True)
    assert [part["flips"][key] for key in ("total", "interior", "boundary", "decided")] == [0, 0, 0, 0]
    assert part["miou"]["delta"] == 0.0 and set(part["per_class_delta"].values()) == {0.0}
    assert all(map(math.isnan, part["miou"]["interval"])) and part["boundary_iou"]["delta"] == 0.0
    assert part["self_miou"]["value"] == 1.0
    assert (part["frames"], part["pixels"], part["logits_finite"]) == (COUNT, PIXELS, True)
    assert part["whole_set"] is None and part["before"] is None and part["diagnosis"] == []
    assert [gate["name"] for gate in part["gates"]] == ["agreement", "miou_delta", "logits_finite"]


def test_scores_against_truth_and_teacher_by_hand(pristine: Path) -> None:
    result = validate_artifact(open_artifact(pristine))
    part = result["variants"]["fp32"]
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
    share = 1 - 24 / PIXELS
    assert part["teacher"]["agreement_graph"] == part["teacher"]["agreement_source"] == share
    against = part["teacher"]["miou_graph_against_teacher"]
    assert against == part["teacher"]["miou_source_against_teacher"] and 0.9 < against < 1
    rows = [(row["step"], row["before"], row["agreement_before"], row["agreement_source"]) for row in result["chain"]]
    assert rows == [
        ("teacher", None, None, share),
        ("student", "teacher", share, 1.0),
        ("fp32", "student", 1.0, 1.0),
    ]
    assert result["chain"][1]["miou_delta_before"] == pytest.approx(np.mean(iou) - 1)


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
    assert [one["fault"] for one in result["variants"]["fp32"]["diagnosis"]] == ["not_finite"]


def test_each_graph_is_held_against_the_nearest_wider_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkd_deploy.parity.compare.MIN_INTERVAL_IMAGES", COUNT)
    graphs = {"int8": QUANTISED, "int8-cpu": QUANTISED, "fp16": small.RIGHT, "fp32": small.RIGHT}
    result = validate_artifact(open_artifact(small.make_artifact(tmp_path / "a", graphs)))
    assert [(row["step"], row["before"]) for row in result["chain"]] == [
        ("student", None),
        ("fp32", "student"),
        ("fp16", "fp32"),
        ("int8", "fp16"),
        ("int8-cpu", "fp16"),
    ]
    part = result["variants"]["int8"]
    assert part["before"]["agreement"] == part["agreement"] < 1
    assert part["before"]["logits"]["relative_l2"] == pytest.approx(part["logits"]["relative_l2"])
    assert part["logits"]["cosine_min"] <= part["logits"]["cosine"] < 1
    low, high = part["miou"]["interval"]
    assert low <= part["miou"]["delta"] <= high


def test_logits_are_gated(tmp_path: Path) -> None:
    result = validate_artifact(open_artifact(small.make_artifact(tmp_path / "a", {"fp32": small.Build(gain=1.001)})))
    assert result["agreement"] == 1.0 and failed(result) == ["relative_l2"]
    assert result["variants"]["fp32"]["logits"]["relative_l2"] == pytest.approx(0.001, rel=0.1)


def test_gates_can_be_changed(tmp_path: Path) -> None:
    folder = small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT, "int8": QUANTISED})
    artifact = open_artifact(folder)
    assert validate_artifact(artifact)["passed"]
    strict = validate_artifact(artifact, Plan(gates={"int8.agreement": 0.99999}))
    assert not strict["passed"] and strict["variants"]["fp32"]["diagnosis"] == []
    rows = {gate["name"]: gate for gate in strict["variants"]["int8"]["gates"]}
    assert rows["agreement"]["limit"] == 0.99999 and not rows["agreement"]["passed"]
    more = validate_artifact(artifact, Plan(gates={"cosine": 0.5}))["variants"]["fp32"]["gates"]
    assert {"name": "cosine", "limit": 0.5, "measured": pytest.approx(1.0), "passed": True} in more


def test_a_clean_graph_below_a_strict_limit_is_not_suspected(tmp_path: Path) -> None:
    noisy = replace(small.RIGHT, noise=0.001)
    artifact = open_artifact(small.make_artifact(tmp_path / "a", {"fp16": noisy}))
    assert validate_artifact(artifact)["passed"]
    strict = validate_artifact(artifact, Plan(gates={"fp16.relative_l2": 1e-6}))["variants"]["fp16"]
    (found,) = strict["diagnosis"]
    assert found["fault"] == "rounding" and found["fault"] in FAULTS
    assert "The limit that was asked for (relative_l2 1e-06) is stricter" in found["text"]
    assert "same network" not in found["text"]


def test_a_graph_below_the_usual_limits_stays_suspected(tmp_path: Path) -> None:
    artifact = open_artifact(small.make_artifact(tmp_path / "a", {"fp16": replace(small.RIGHT, noise=0.3)}))
    part = validate_artifact(artifact, Plan(gates={"agreement": 0.0}))["variants"]["fp16"]
    assert [one["fault"] for one in part["diagnosis"]] == ["unexplained"]


def test_an_artifact_brings_its_recipes_gates(tmp_path: Path) -> None:
    folder = small.make_artifact(
        tmp_path / "a", {"fp32": small.RIGHT, "int8": QUANTISED}, gates={"int8.agreement": 1.0}
    )
    artifact = open_artifact(folder)
    assert not validate_artifact(artifact)["passed"]
    assert validate_artifact(artifact, Plan(gates={"agreement": 0.9}))["passed"], "what is asked for wins"


class OtherRuntime(OnnxRuntimeRunner):
    """A runtime that shifts every label."""

    def infer(self, frames: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return (super().infer(frames, out) + self.shift) % 4

    shift = 1


def test_an_engine_is_held_against_its_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = open_artifact(small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT}))
    real = chain.open_runner

    def open_other(graph: Path, runtime: str = "onnxruntime", **options: Any) -> Any:
        if runtime == "onnxruntime":
            return real(graph, runtime, **options)
        return OtherRuntime(graph, threads=options["threads"], spec=options["spec"])

    monkeypatch.setattr(chain, "open_runner", open_other)
    part = validate_artifact(artifact, Plan(runtime="tensorrt", provider="cuda:0", threads=1))["variants"]["fp32"]
    assert part["before"]["step"] == "fp32 in onnxruntime" and part["before"]["agreement"] == 0.0
    assert [one["fault"] for one in part["diagnosis"]] == ["runtime"]
    assert "tensorrt (cuda:0) gives other labels than onnxruntime" in part["diagnosis"][0]["text"]


def test_a_device_without_onnxruntime_compares_with_the_source_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = open_artifact(small.make_artifact(tmp_path / "a", {"fp32": small.RIGHT, "int8": QUANTISED}))
    for module in (chain, steps):
        monkeypatch.setattr(module, "has_onnxruntime", lambda: False)
    monkeypatch.setattr(chain, "open_runner", lambda graph, runtime, **options: OnnxRuntimeRunner(graph))
    result = validate_artifact(artifact, Plan(runtime="tensorrt", provider="cuda:0"))
    assert result["passed"] and "onnxruntime is not installed" in result["notes"][0]
    assert result["variants"]["int8"]["before"]["step"] == "fp32"
    assert result["variants"]["int8"]["logits"] is None


def test_the_graph_itself_is_judged_where_the_runner_would_do_without_its_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MIN_CLASSES", 2)
    folder = small.make_artifact(tmp_path / "a", {"fp32": small.Build(place="align_corners")})
    part = validate_artifact(open_artifact(folder), Plan(threads=1))["variants"]["fp32"]
    assert part["runtime"]["decoder"]["used"] == "graph"
    assert [one["fault"] for one in part["diagnosis"]] == ["align_corners"]


def test_whole_set(pristine: Path, tmp_path: Path) -> None:
    done: list[int] = []
    plan = Plan(dataset=Blocks(tmp_path), dataset_name="blocks", progress=done.append)
    whole = validate_artifact(open_artifact(pristine), plan)["variants"]["fp32"]["whole_set"]
    assert (whole["data"], whole["images"], sum(done)) == ("blocks", 5, 5)
    assert set(whole["per_class"]) == set(NAMES)
    assert 0.9 < whole["miou"] < 1


def test_a_batch_that_does_not_divide_the_frames(tmp_path: Path) -> None:
    assert validate_artifact(open_artifact(make_artifact(tmp_path / "two", batch=2)))["passed"]
    assert validate_artifact(open_artifact(make_artifact(tmp_path / "any", batch=None)))["passed"]


def test_unknown_precision(tmp_path: Path) -> None:
    artifact = open_artifact(small.make_artifact(tmp_path / "a", {"fp8": small.RIGHT}))
    with pytest.raises(SegkdError, match="no limits for precision 'fp8'; known: fp32, fp16, int8"):
        validate_artifact(artifact)
