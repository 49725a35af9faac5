from __future__ import annotations

from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.evaluation import Inference


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "slide"}, "give --crop HxW"),
        ({"mode": "slide", "crop": (4, 4)}, "its stride"),
        ({"crop": (4, 4)}, "belong to --mode slide"),
        ({"mode": "slide", "crop": (4, 4), "stride": (4, 5)}, r"the stride \(4, 5\) leaves gaps"),
        ({"mode": "slide", "crop": (4, 4), "stride": (0, 4)}, "leaves gaps"),
        ({"scales": ()}, "factors above 0"),
        ({"scales": (1.0, -0.5)}, "factors above 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        Inference(**settings)


def test_what_is_plain() -> None:
    assert Inference().is_plain and Inference(align_corners=True).is_plain
    for other in (
        Inference(mode="slide", crop=(4, 4), stride=(2, 2)),
        Inference(scales=(0.5,)),
        Inference(flip=True),
        Inference(test_scale=(512, 2048)),
    ):
        assert not other.is_plain
