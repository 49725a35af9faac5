from __future__ import annotations

from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd_distill.methods.values import at_least_zero, one_of, positive, whole_number


def test_what_is_taken() -> None:
    assert at_least_zero("w", 0) == 0.0 and positive("t", 2) == 2.0
    assert whole_number("n", 3, 3) == 3 and one_of("on", "both", ("logits", "both")) == "both"


@pytest.mark.parametrize("value", [True, "1", float("nan"), float("inf"), -1])
def test_numbers_that_are_refused(value: Any) -> None:
    with pytest.raises(SegkdError, match="w must be a number of at least 0, got"):
        at_least_zero("w", value)
    with pytest.raises(SegkdError, match="t must be a number above 0, got"):
        positive("t", value)


@pytest.mark.parametrize("value", [True, 2.0, 1, "2"])
def test_whole_numbers_that_are_refused(value: Any) -> None:
    with pytest.raises(SegkdError, match=f"n must be a whole number of at least 2, got {value!r}"):
        whole_number("n", value, 2)


def test_the_nearest_word() -> None:
    with pytest.raises(SegkdError, match="unknown value of on 'feature'; did you mean 'features'"):
        one_of("on", "feature", ("logits", "features"))
