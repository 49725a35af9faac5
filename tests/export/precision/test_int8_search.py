from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segkd.data import open_dataset
from segkd.data.readers.cityscapes import LABEL_SPACE
from segkd.errors import GateFailed, SegkdError
from segkd.recipe import parse_recipe
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.precision.calibration_data import CalibrationData, gather_calibration
from segkd_export.precision.int8 import FORMS, find_layers
from segkd_export.precision.int8_search import Int8Options, Quantised, make_int8
from segkd_export.precision.probe import Probe, Score
from tests.export.conftest import ODD_SIZE


@pytest.fixture(scope="module")
def data(workshop: Path) -> CalibrationData:
    recipe = parse_recipe({"data": {"train": f"cityscapes:{workshop / 'data'},frames=:8"}})
    validation = [open_dataset(f"cityscapes:{workshop / 'data'}", split="val")]
    return gather_calibration(None, 4, recipe, LABEL_SPACE, validation, CameraFrame(ODD_SIZE))


def make(model: Any, data: CalibrationData, **options: Any) -> Quantised:
    return make_int8(model, data, Int8Options(**{"min_agreement": 0.0, **options}), batch=1, num_classes=19)


def kept(model: Any) -> int:
    """Convolutions whose weights are still float32."""
    floats = {tensor.name for tensor in model.graph.initializer if tensor.data_type == 1}
    return sum(node.op_type == "Conv" and node.input[1] in floats for node in model.graph.node)


@pytest.fixture(scope="module")
def automatic(float_model: Any, data: CalibrationData) -> Quantised:
    return make(float_model, data)


def test_auto_takes_what_agrees_best_and_records_all(automatic: Quantised, data: CalibrationData) -> None:
    found = automatic.calibration
    assert set(found.scores) == {"minmax", "percentile", "entropy"} and found.chosen == "auto"
    best = max(score["agreement"] or 0 for score in found.scores.values())
    assert found.scores[found.method]["agreement"] == best == found.reached["agreement"]
    assert set(automatic.models) == set(FORMS) == {"int8", "int8-cpu"}
    assert (found.ids, found.held_out) == (data.frames.ids, data.held_out.ids)
    assert (automatic.float_layers, automatic.ranking) == ([], None)


def test_the_recorded_score_is_the_worse_of_both_forms(
    automatic: Quantised, float_model: Any, data: CalibrationData
) -> None:
    probe = Probe(float_model, list(data.held_out), data.truth, 1, 19)
    first, second = (probe.score(model) for model in automatic.models.values())
    assert automatic.calibration.reached == first.worse_of(second).to_dict()


def test_the_same_frames_give_the_same_bytes(automatic: Quantised, float_model: Any, data: CalibrationData) -> None:
    again = make(float_model, data)
    assert again.calibration == automatic.calibration
    for form, model in automatic.models.items():
        assert again.models[form].SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_a_method_by_name(float_model: Any, data: CalibrationData) -> None:
    found = make(float_model, data, method="minmax").calibration
    assert (found.method, found.chosen, set(found.scores)) == ("minmax", "asked", {"minmax"})


def test_the_worst_layers_stay_in_float_until_the_limit_holds(
    automatic: Quantised, float_model: Any, data: CalibrationData
) -> None:
    reached = automatic.calibration.reached["agreement"]
    assert reached is not None
    limit = reached + 0.5 * (1 - reached)
    found = make(float_model, data, method=automatic.calibration.method, min_agreement=limit)
    assert found.ranking is not None
    order = [row.layer for row in found.ranking]
    assert sorted(order) == sorted(layer.name for layer in find_layers(float_model))
    assert [row.logits_relative_l2 for row in found.ranking] == sorted(
        (row.logits_relative_l2 for row in found.ranking), reverse=True
    )
    count = len(found.float_layers)
    assert 0 < count < len(order) and found.float_layers == order[:count]
    assert (found.calibration.reached["agreement"] or 0) >= limit
    convolutions = [name for name in found.float_layers if not name.startswith("sum")]
    assert all(kept(model) == len(convolutions) for model in found.models.values())


def test_sensitivity_alone_changes_nothing(automatic: Quantised, float_model: Any, data: CalibrationData) -> None:
    found = make(float_model, data, method=automatic.calibration.method, sensitivity=True)
    assert found.ranking is not None and not found.float_layers
    model, before = found.models["int8"], automatic.models["int8"]
    assert model.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


def test_limits_that_nothing_holds(float_model: Any, data: CalibrationData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Probe, "score", lambda self, model: Score(0.5, 0.1, 3.0))
    with pytest.raises(GateFailed, match=r"--min-agreement 0\.9 and --max-drop 1: .* 0\.5000 .* loses 3\.00 points"):
        make(float_model, data, method="minmax", min_agreement=0.9, max_drop=1.0)


@pytest.mark.parametrize(
    ("score", "options", "reached"),
    [
        (Score(0.99, 0, None), Int8Options(min_agreement=0.99), True),
        (Score(0.98, 0, None), Int8Options(min_agreement=0.99), False),
        (Score(0.99, 0, 0.5), Int8Options(min_agreement=0.5, max_drop=0.5), True),
        (Score(0.99, 0, 0.6), Int8Options(min_agreement=0.5, max_drop=0.5), False),
        (Score(0.99, 0, -2.0), Int8Options(min_agreement=0.5, max_drop=0.0), True),
    ],
)
def test_when_a_score_is_good_enough(score: Score, options: Int8Options, reached: bool) -> None:
    assert options.reached_by(score) is reached


def test_a_limit_on_miou_needs_truth(float_model: Any, data: CalibrationData) -> None:
    with pytest.raises(SegkdError, match=r"--max-drop needs calibration data with masks"):
        make(float_model, replace(data, truth=None), max_drop=0.5)
    with pytest.raises(SegkdError, match="unknown calibration method 'minmix'; did you mean 'minmax'"):
        make(float_model, data, method="minmix")
