from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.files.written_files import Bench, JsonContent, ModelCard, Parity, ReleaseRecord, RunRecord, read_checked

PARITY: dict[str, Any] = {"variants": {"fp32": {"agreement": 1, "gates": [{"name": "agreement", "passed": True}]}}}
LABELS = {"names": ["road"], "palette": [[1, 2, 3]]}


def read(folder: Path, content: Any, model: type[JsonContent], *needs: str) -> dict[str, Any]:
    (folder / "x.json").write_text(json.dumps(content))
    return read_checked(folder / "x.json", model, "make it again", needs)


@pytest.mark.parametrize(
    ("content", "model"),
    [
        ({}, Parity),
        ({**PARITY, "newer": {"key": 1}}, Parity),
        ({"latency_ms": {"p50": 1, "p99": 2.5}, "sweep": []}, Bench),
        ({"passed": True, "gates": []}, ReleaseRecord),
        ({"seconds": 2.0, "eval": {"miou": None, "per_class": {"road": 0.5, "sky": None}}}, RunRecord),
        ({"seconds": {"train": 2}, "eval": None}, RunRecord),
        ({"label_space": LABELS, "imgsz": [64, 128]}, ModelCard),
    ],
)
def test_files_of_older_and_newer_versions_are_read_as_they_are(
    tmp_path: Path, content: dict[str, Any], model: type[JsonContent]
) -> None:
    assert read(tmp_path, content, model) == content


@pytest.mark.parametrize(
    ("content", "model", "place"),
    [
        ([], Parity, "expected an object"),
        ({"variants": []}, Parity, "variants: "),
        ({"variants": {"fp32": {"agreement": "1"}}}, Parity, "variants.fp32.agreement: "),
        ({"variants": {"fp32": {"agreement": 1.5}}}, Parity, "variants.fp32.agreement: "),
        ({"variants": {"fp32": {"agreement": True}}}, Parity, "variants.fp32.agreement: "),
        ({"variants": {"fp32": {"gates": [{"name": "a", "passed": "yes"}]}}}, Parity, "variants.fp32.gates.0.passed: "),
        ({"variants": {"fp32": {"gates": {}}}}, Parity, "variants.fp32.gates: "),
        ({"latency_ms": 1}, Bench, "latency_ms: "),
        ({"latency_ms": {"p99": -1}}, Bench, "latency_ms.p99: "),
        ({"valid": 1}, Bench, "valid: "),
        ({"gates": [{"name": "a"}]}, ReleaseRecord, "gates.0.passed: "),
        ({"eval": {"miou": [0.5]}}, RunRecord, "eval.miou: "),
        ({"seconds": "long"}, RunRecord, "seconds"),
        ({"imgsz": [64]}, ModelCard, "imgsz: "),
        ({"imgsz": ["64", 64]}, ModelCard, "imgsz.0: "),
        ({"label_space": {"names": "road", "palette": []}}, ModelCard, "label_space.names: "),
        ({"label_space": {"names": [], "palette": [[1, 2]]}}, ModelCard, "label_space.palette.0: "),
    ],
)
def test_a_wrong_type_is_one_line_with_file_and_key(
    tmp_path: Path, content: Any, model: type[JsonContent], place: str
) -> None:
    with pytest.raises(SegkdError) as caught:
        read(tmp_path, content, model)
    assert f"x.json: {place}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_keys_that_a_reader_needs(tmp_path: Path) -> None:
    assert read(tmp_path, {"host": {"model": None}}, Parity, "host", "host.model?")
    for content, words in (
        ({}, r"host\.model: is missing"),
        ({"host": None}, r"host\.model: is missing"),
        ({"host": {"model": None}}, r"host\.model: is null"),
    ):
        with pytest.raises(SegkdError, match=words):
            read(tmp_path, content, Parity, "host.model")
