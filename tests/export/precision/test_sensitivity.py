from __future__ import annotations

from typing import Any

from segkd_export.precision.calibration import collect_statistics
from segkd_export.precision.int8 import find_layers, prepare, tensors_of
from segkd_export.precision.probe import Probe
from segkd_export.precision.sensitivity import rank_layers
from tests.export.conftest import ODD_SIZE, random_frames


def test_a_layer_with_a_spoiled_range_comes_first(float_model: Any) -> None:
    frames = list(random_frames(9, 2, ODD_SIZE))
    layers = [
        layer for layer in find_layers(float_model) if layer.name.startswith(("backbone.layer1", "decode_head.c"))
    ]
    seen = collect_statistics(float_model, tensors_of(float_model, layers), (frame[None] for frame in frames))
    ranges = {name: found.limits("minmax") for name, found in seen.items()}
    spoiled = layers[1]
    low, high = ranges[spoiled.tensors[0]]
    ranges[spoiled.tensors[0]] = (50 * low, 50 * high)
    probe = Probe(float_model, frames, None, 1, 19)
    ranking = rank_layers(prepare(float_model), ranges, layers, probe)
    assert ranking[0].layer == spoiled.name
    assert sorted(row.layer for row in ranking) == sorted(layer.name for layer in layers)
    assert ranking[0].logits_relative_l2 > 5 * ranking[1].logits_relative_l2 > 0
    assert ranking[0].agreement < ranking[-1].agreement
    assert ranking[0].to_dict()["kind"] == "Conv"
