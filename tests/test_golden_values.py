"""The reference files are whole: inputs are reproducible, gradients have the shapes their index names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden_values import FOLDER, from_recipe, golden, parameters, uniform

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_files_are_there() -> None:
    expected = ["afdcd", "attnfd", "bpkd_thirdparty", "cirkd", "cwd", "extras", "ifvd", "kd", "skds"]
    assert expected == NAMES
    provenance = (FOLDER / "PROVENANCE.md").read_text()
    for name in NAMES:
        assert f"`{name}`" in provenance
        assert (FOLDER / f"{name}.npz").stat().st_size < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_inputs_and_arrays(name: str) -> None:
    file = golden(name)
    assert {key: list(array.shape) for key, array in file.arrays.items()} == file.meta["npz_keys"]
    if "labels" in file.arrays:
        np.testing.assert_array_equal(file.arrays["labels"], file.inputs["labels"])
    for array in file.inputs.values():
        assert np.size(array[0])


@pytest.mark.parametrize("name", NAMES)
def test_every_case_names_its_source(name: str) -> None:
    file = golden(name)
    for case in file.meta.get("cases", [file.meta]):
        source = {**file.meta, **case}
        if case.get("id") != "torchdistiller_underflow_demo":
            assert len(source["commit"]) == 40 and "/" in source["repo"] and source["file"] and source["cls"]


def test_changed_recipe_is_noticed() -> None:
    recipe = dict(golden("kd").meta["inputs"]["logits_s"], seed=1)
    with pytest.raises(ValueError, match="no longer gives"):
        from_recipe(recipe)


def test_recipe_text() -> None:
    np.testing.assert_array_equal(from_recipe("uni(7,(2,3),0.5)"), uniform(7, (2, 3), 0.5))
    with pytest.raises(ValueError, match="not a recipe"):
        from_recipe("normal(7)")


def test_parameters_follow_their_rules() -> None:
    manifest = [
        {"name": "w", "shape": [3, 4, 2, 2], "seed": 1, "rule": "u*1/sqrt(fan_in)"},
        {"name": "g", "shape": [3], "seed": 2, "rule": "1+0.1u"},
    ]
    made = parameters(manifest, torch.float64)
    assert made["w"].dtype == torch.float64
    np.testing.assert_array_equal(made["w"].numpy(), uniform(1, (3, 4, 2, 2), 0.25))
    np.testing.assert_array_equal(made["g"].numpy(), 1 + uniform(2, (3,), 0.1))
