from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from segkd_export.precision.probe import Probe, Score, batches_of
from tests.export.conftest import ODD_SIZE, random_frames

FRAMES = list(random_frames(8, 3, ODD_SIZE))


def changed(model: Any, class_index: int, bias: float) -> Any:
    """The model with a bias on one logit."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    classifier = next(node for node in other.graph.node if "logits" in node.output)
    assert len(classifier.input) == 2, "the exporter leaves out a bias of zeros"
    classifier.input.append("bias")
    values = np.zeros(19, np.float32)
    values[class_index] = bias
    other.graph.initializer.append(numpy_helper.from_array(values, "bias"))
    return other


def test_the_model_itself(float_model: Any) -> None:
    probe = Probe(float_model, FRAMES, None, 1, 19)
    assert probe.score(float_model) == Score(1.0, 0.0, None)
    assert probe.source_miou is None


def test_agreement_distance_and_drop_by_hand(float_model: Any) -> None:
    plain = Probe(float_model, FRAMES, None, 1, 19)
    labels = [part[0] for part, _ in plain._source]
    logits = np.concatenate([part for _, part in plain._source])
    probe = Probe(float_model, FRAMES, labels, 1, 19)
    assert probe.source_miou == 1.0
    # One class wins everywhere: of K classes seen, one keeps its share of the pixels as IoU, all others have none.
    score = probe.score(changed(float_model, 7, 1e4))
    seen, counts = np.unique(np.stack(labels), return_counts=True)
    share = dict(zip(seen, counts / counts.sum(), strict=True)).get(7, 0.0)
    assert score.agreement == pytest.approx(share)
    number = len(set(seen) | {7})
    assert score.drop == pytest.approx(100 * (1 - share / number))
    assert score.logits_relative_l2 == pytest.approx(
        1e4 * np.sqrt(logits[:, 0].size) / np.linalg.norm(logits), rel=1e-4
    )


def test_only_the_content_counts(float_model: Any) -> None:
    whole = Probe(float_model, FRAMES, None, 1, 19).score(changed(float_model, 2, 3.0))
    other = changed(float_model, 2, 3.0)
    halves = [Probe(float_model, FRAMES, None, 1, 19, (0, left, 60, 50)).score(other) for left in (0, 50)]
    last = Probe(float_model, FRAMES, None, 1, 19, (0, 100, 60, 1)).score(other)
    parts = (50 * halves[0].agreement + 50 * halves[1].agreement + last.agreement) / 101
    assert whole.agreement == pytest.approx(parts) and whole.agreement < 1
    truth = [np.zeros(ODD_SIZE, np.uint8)] * 3
    assert Probe(float_model, FRAMES, truth, 1, 19, (0, 0, 60, 50)).source_miou is not None


def test_the_worse_of_two() -> None:
    assert Score(0.9, 0.1, None).worse_of(Score(0.8, 0.2, 1.0)) == Score(0.8, 0.2, 1.0)
    assert Score(0.9, 0.3, -1.0).worse_of(Score(0.95, 0.2, 2.0)) == Score(0.9, 0.3, 2.0)
    assert Score(0.9, 0.3, None).worse_of(Score(0.95, 0.2, None)).drop is None


def test_a_last_batch_is_filled_up() -> None:
    frames = [np.full((1, 1), value, np.uint8) for value in range(5)]
    assert [batch.ravel().tolist() for batch in batches_of(frames, 2)] == [[0, 1], [2, 3], [4, 4]]
    assert list(batches_of([], 2)) == []
