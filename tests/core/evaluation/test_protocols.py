from __future__ import annotations

import numpy as np
import pytest

from segkd.data import DATASETS
from segkd.data.base import Sample
from segkd.errors import SegkdError
from segkd.evaluation import FULL, PROTOCOLS, protocol_of
from segkd.evaluation.protocols import two_thirds


def test_names() -> None:
    assert protocol_of(None) is FULL and protocol_of("cirkd").name == "cirkd"
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    with pytest.raises(SegkdError, match="did you mean 'attnfd'"):
        protocol_of("attfd")


def test_the_rules_of_each_community() -> None:
    rules = {name: (p.align_corners, p.absent, p.average, p.scored_short_px) for name, p in PROTOCOLS.items()}
    assert rules == {
        "mmseg": (None, "skip", "probabilities", None),
        "cirkd": (True, "zero", "logits", None),
        "attnfd": (None, "skip", "probabilities", 513),
    }
    assert PROTOCOLS["mmseg"].test_scale("ade20k") == (512, 2048)
    assert PROTOCOLS["mmseg"].test_scale("pascal_context") == (520, 520)
    assert PROTOCOLS["mmseg"].test_scale("cityscapes") is None is FULL.test_scale("ade20k")


def test_test_scales_are_of_known_data_sets() -> None:
    assert {name for protocol in PROTOCOLS.values() for name, _ in protocol.test_scales} <= set(DATASETS)


@pytest.mark.parametrize(
    ("size", "expected"), [((375, 500), (513, 684)), ((500, 333), (770, 513)), ((60, 20), (1539, 513))]
)
def test_attnfd_resizes_the_short_side_of_image_and_label(size: tuple[int, int], expected: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    mask = rng.choice([0, 1, 7, 255], size).astype(np.uint8)
    sample = PROTOCOLS["attnfd"].prepare(Sample(np.full((*size, 3), 90, np.uint8), mask, "x"))
    assert sample.mask.shape == expected and sample.image.shape == (*expected, 3)
    assert set(np.unique(sample.mask)) == {0, 1, 7, 255} and (sample.image == 90).all()


def test_others_leave_the_sample_alone() -> None:
    sample = Sample(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8), "x")
    assert all(protocol.prepare(sample) is sample for protocol in (FULL, PROTOCOLS["mmseg"], PROTOCOLS["cirkd"]))


def test_strides_as_mmsegmentation_has_them() -> None:
    assert [two_thirds((size, size))[0] for size in (769, 512, 1)] == [513, 341, 1]
