from __future__ import annotations

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.losses.checks import check_grids, check_mask, check_pair, check_temperature, upcast

S = torch.zeros(2, 5, 3, 4)


def test_one_dtype_above_half() -> None:
    assert upcast(torch.zeros(1, dtype=torch.float16)).dtype == torch.float32
    assert upcast(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert upcast(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_a_pair_has_one_shape() -> None:
    check_pair(S, S.clone())
    with pytest.raises(SegkdError, match=r"one shape, got \(2, 5, 3, 4\) and \(2, 1, 3, 4\): adapt the width"):
        check_pair(S, S[:, :1])


@pytest.mark.parametrize("other", [S[:1], S[..., :2], S[0]])
def test_grids_agree_widths_need_not(other: torch.Tensor) -> None:
    check_grids(S, S[:, :2])
    with pytest.raises(SegkdError, match="on one grid"):
        check_grids(S, other)


@pytest.mark.parametrize("mask", [torch.ones(2, 3, 4), torch.ones(2, 1, 3, 4, dtype=torch.bool)])
def test_a_mask_is_bool_and_has_the_grid(mask: torch.Tensor) -> None:
    check_mask(torch.ones(2, 3, 4, dtype=torch.bool), S)
    check_mask(None, S)
    with pytest.raises(SegkdError, match=r"the mask must be bool of shape \(2, 3, 4\)"):
        check_mask(mask, S)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_above_0(temperature: float) -> None:
    check_temperature(0.1)
    with pytest.raises(SegkdError, match=f"temperature above 0 is needed, got {temperature}"):
        check_temperature(temperature)
