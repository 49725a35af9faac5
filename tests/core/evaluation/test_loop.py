from __future__ import annotations

import numpy as np
import pytest

from segkd.data.base import DataFileError, Sample
from segkd.errors import SegkdError
from segkd.evaluation import PROTOCOLS, evaluate_set
from segkd.metrics import Areas, MetricSuite
from tests.core.evaluation.blocks import LABELS, Oracle, Pictures


def suite() -> MetricSuite:
    return MetricSuite(LABELS.names)


def test_every_image_is_measured_once_in_order() -> None:
    data, measured, seen, done = Pictures((6, 8), (6, 8), (4, 9)), suite(), [], []

    def note(index: int, sample: Sample, prediction: np.ndarray, areas: Areas) -> None:
        seen.append((index, sample.id, prediction.shape, int(areas.labelled.sum() - areas.hits.sum())))

    evaluate_set(Oracle(0, 5, 2), data, measured, on_prediction=note, on_progress=done.append)
    assert seen == [(0, "p0", (6, 8), 0), (1, "p1", (6, 8), 5), (2, "p2", (4, 9), 2)]
    assert done == [1, 2, 3] and measured.ids == data.ids == ["p0", "p1", "p2"] and data.being_read == [0, 1, 2]
    counts = measured.confusion.counts
    assert counts.sum() == 5 * 8 + 5 * 8 + 3 * 9 and counts.sum() - np.trace(counts[:, :3]) == 7


def test_batches() -> None:
    sizes = ((4, 4), (4, 4), (4, 4), (4, 6), (4, 4))
    for one_size, expected in (
        (True, [["p0", "p1"], ["p2"], ["p3"], ["p4"]]),
        (False, [["p0", "p1"], ["p2", "p3"], ["p4"]]),
    ):
        oracle = Oracle(batch=2, one_size=one_size)
        evaluate_set(oracle, Pictures(*sizes), suite())
        assert oracle.batches == expected


def test_no_images() -> None:
    measured = suite()
    evaluate_set(Oracle(), Pictures(), measured)
    assert measured.ids == [] and not measured.confusion.counts.any()


def test_a_protocol_resizes_first() -> None:
    seen: list[tuple[int, ...]] = []
    evaluate_set(
        Oracle(),
        Pictures((20, 40)),
        suite(),
        protocol=PROTOCOLS["attnfd"],
        on_prediction=lambda index, sample, prediction, areas: seen.extend([sample.image.shape, prediction.shape]),
    )
    assert seen == [(513, 1026, 3), (513, 1026)]


def test_what_is_not_finite_is_an_error_with_the_images_name() -> None:
    with pytest.raises(SegkdError, match=r"^image p1: the network's logits are not finite.*check the weights"):
        evaluate_set(Oracle(batch=2, nan_at=1), Pictures((4, 4), (4, 4)), suite())


def test_a_file_that_cannot_be_read_is_named() -> None:
    class Broken(Pictures):
        def read_mask(self, index: int) -> np.ndarray:
            if index == 1:
                raise DataFileError(self.mask_path(index), "cut short")
            return super().read_mask(index)

    measured = suite()
    with pytest.raises(SegkdError, match=r"1_mask\.png: cut short"):
        evaluate_set(Oracle(), Broken((4, 4), (4, 4)), measured)
    assert measured.ids == ["p0"]


def test_data_without_masks() -> None:
    with pytest.raises(SegkdError, match="no labels to evaluate against"):
        evaluate_set(Oracle(), Pictures((4, 4), has_masks=False), suite())
