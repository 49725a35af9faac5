"""The networks of the zoo against the original implementations, whose outputs tests/golden/models/outputs.json holds.

All weights follow from their names, so nothing but numbers is stored; tests/golden/PROVENANCE.md has the recipe.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segkd_distill.models.catalogue.families import ATTNFD, CIRKD, OPEN_MMLAB
from segkd_distill.models.zoo import build_model
from tests.golden_values import uniform

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "models" / "outputs.json").read_text(encoding="utf-8")
)["networks"]
QUICK = ("pspnet-r18", "hrnet-w18s", "isanet-r18", "cirkd-deeplabv3-mv2", "attnfd-deeplabv3plus-mv2")
CLASSES = 19
IMGSZ = (100, 330)


def weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for every name of a state dict, from the name alone."""
    made = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            made[name] = torch.zeros((), dtype=torch.long)
            continue
        values = uniform(zlib.crc32(name.encode()), tuple(tensor.shape), 1.0)
        if tensor.ndim > 1:
            values *= np.float32(math.sqrt(3 / math.prod(tensor.shape[1:])))
        elif name.endswith("running_var"):
            values = np.float32(1) + np.float32(0.5) * values
        elif name.endswith("weight"):
            values = np.float32(1) + np.float32(0.25) * values
        else:
            values = np.float32(0.25) * values
        made[name] = torch.from_numpy(values)
    return made


def image() -> Tensor:
    values = uniform(7, (1, 3, *IMGSZ), 1.0)
    return torch.from_numpy(np.floor(127.5 * values + 128).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in GOLDEN]
)
def test_equal_to_the_original(name: str) -> None:
    model = build_model(name, CLASSES).eval().requires_grad_(False)
    model.load_state_dict(weights(model.state_dict()), strict=True)
    output = model(image(), frozenset({"c1", "c4"}))
    found = {"logits": output.logits, "c1": output.taps["c1"], "c4": output.taps["c4"]}
    if model.auxiliary_head is not None:
        found["aux_logits"] = model.auxiliary_head(model.backbone((image() - model.mean) / model.std)).logits
    assert set(found) == set(GOLDEN[name])
    for key, expected in GOLDEN[name].items():
        tensor, tolerance = found[key].double().flatten(), 1e-5 * expected["abs_max"]
        assert list(found[key].shape) == expected["shape"], key
        samples = [float(tensor[(i * 7919 + 13) % len(tensor)]) for i in range(len(expected["samples"]))]
        assert samples == pytest.approx(expected["samples"], rel=0, abs=tolerance), key
        assert float(tensor.mean()) == pytest.approx(expected["mean"], rel=0, abs=tolerance), key
        assert float(tensor.abs().max()) == pytest.approx(expected["abs_max"], rel=1e-5), key


def test_every_network_of_these_families_is_compared() -> None:
    """All but combinations of compared parts, and CIRKDv2's, which differ from CIRKD's in width alone."""
    ours = {config.name for config in (*OPEN_MMLAB, *CIRKD, *ATTNFD)}
    assert set(GOLDEN) <= ours
    others = {"pspnet-r50", "pspnet-mv2", "cirkdv2-deeplabv3-r18", "cirkdv2-deeplabv3-r101"}
    assert ours - set(GOLDEN) == others
