from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from segkd.files import finite, write_json
from segkd_deploy.artifact import open_artifact
from segkd_deploy.parity import Plan, validate_artifact
from segkd_deploy.parity.earlier import read_earlier, with_earlier
from tests.deploy.parity import small

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One run per variant, and one of both."""
    folder = small.make_artifact(tmp_path_factory.mktemp("two") / "a", {"fp16": small.RIGHT, "fp32": small.RIGHT})
    artifact = open_artifact(folder)
    plans = {"fp32": ("fp32",), "fp16": ("fp16",), "both": ()}
    return {name: validate_artifact(artifact, Plan(variants=names, threads=1)) for name, names in plans.items()}


def test_two_runs_are_one_file(results: Results) -> None:
    fp32 = copy.deepcopy(results["fp32"])
    fp32 |= {"created": "2026-01-02T03:04:05+00:00", "notes": ["a word"], "agreement": 0.5, "passed": False}
    fp32["variants"]["fp32"]["agreement"] = 0.5
    fp32["variants"]["fp32"]["gates"][0]["passed"] = False
    merged, said = with_earlier(results["fp16"], fp32)
    assert said == "fp32: kept from the run of 2026-01-02T03:04:05+00:00"
    assert list(merged["variants"]) == ["fp32", "fp16"] == list(results["both"]["variants"])
    assert merged["variants"]["fp32"] == fp32["variants"]["fp32"]
    assert merged["variants"]["fp16"] == results["fp16"]["variants"]["fp16"]
    assert [(row["step"], row["before"]) for row in merged["chain"]] == [
        ("student", None),
        ("fp32", "student"),
        ("fp16", "student"),
    ]
    assert (merged["agreement"], merged["passed"]) == (0.5, False)
    assert merged["notes"] == ["a word", *results["fp16"]["notes"]]
    assert "fp16: computed in float32" in results["fp16"]["notes"][0] and results["fp32"]["notes"] == []
    assert merged["created"] == results["fp16"]["created"]
    assert merged.keys() == results["both"].keys()


def test_what_this_run_speaks_of_replaces_the_earlier(results: Results) -> None:
    assert with_earlier(results["both"], results["fp16"]) == (results["both"], None)
    assert with_earlier(results["fp16"], results["fp16"]) == (results["fp16"], None)
    assert with_earlier(results["fp16"], None) == (results["fp16"], None)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("artifact", {"path": "a", "manifest_sha256": "0" * 64}, "validated of another export"),
        ("host", {"model": "another"}, "validated on another machine"),
        ("versions", {"segkd": "0.0"}, "validated by other versions"),
        ("schema", 0, "validated by another format of the file"),
        ("chain", [], "which was damaged"),
        ("variants", {"fp32": {"precision": "fp32"}}, "which was damaged"),
    ],
)
def test_what_does_not_belong_together_is_not_mixed(results: Results, key: str, value: Any, words: str) -> None:
    content, said = with_earlier(results["fp16"], {**results["fp32"], key: value})
    assert content == results["fp16"]
    assert said is not None and said.startswith("fp32: no longer in the file") and words in said


def test_a_folder_may_have_been_renamed(results: Results) -> None:
    earlier = {**results["fp32"], "artifact": {**results["fp32"]["artifact"], "path": "other"}}
    merged, _ = with_earlier(results["fp16"], earlier)
    assert list(merged["variants"]) == ["fp32", "fp16"]


def test_reading(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    assert read_earlier(path) is None
    write_json(path, results["fp32"])
    assert read_earlier(path) == finite(results["fp32"])
    for text in ("{", "[]", '{"variants": 3}'):
        path.write_text(text)
        assert read_earlier(path) is None
