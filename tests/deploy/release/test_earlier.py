"""Bundles whose ``release.json`` has the rows and rules of segkd before it had one table of gates."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import GateFailed
from segkd.files import read_json, sha256_file, write_json
from segkd_deploy.release.bundle import prepare_release, write_bundle
from segkd_deploy.release.verify import verify_release
from tests.deploy.release.mutations import rehash

GATES = "agreement: 0.5\nmiou_delta: 0.5\n"
Row = dict[str, Any]


@pytest.fixture
def bundle(pristine_measured: Path, tmp_path: Path) -> Path:
    (tmp_path / "gates.yaml").write_text(GATES)
    folder = write_bundle(prepare_release(pristine_measured, tmp_path / "gates.yaml", "net", "1"), tmp_path / "out")
    make_earlier(folder)
    return folder


def make_earlier(folder: Path) -> None:
    """Evidence without what it lacked then, timed for a shorter time than its preset asks, and the rows of then."""
    parity, bench = read_json(folder / "parity.json"), read_json(folder / "bench.json")
    for part in parity["variants"].values():
        del part["computed_in"]
    bench["method"]["settings"]["duration_s"] = 2.0
    write_json(folder / "parity.json", parity)
    write_json(folder / "bench.json", bench)

    rows: list[Row] = []
    for name, part in parity["variants"].items():
        loss = max(0.0, -part["miou"]["delta"])
        rows += [
            {"variant": name, "name": "miou_delta", "limit": 0.5, "measured": loss, "passed": True},
            {"variant": name, "name": "agreement", "limit": 0.5, "measured": part["agreement"], "passed": True},
            {"variant": name, "name": "logits_finite", "limit": True, "measured": True, "passed": True},
            {"variant": name, "name": "bench_valid", "limit": True, "measured": True, "passed": True},
        ]
    change(folder, lambda record: record.update(gates=rows))


def change(folder: Path, edit: Callable[[Row], object]) -> None:
    """Edit release.json, and make all hashes fit again."""
    record = read_json(folder / "release.json")
    record["evidence"] = {name: sha256_file(folder / name) for name in record["evidence"]}
    record["gates_sha256"] = sha256_file(folder / "gates.yaml")
    edit(record)
    write_json(folder / "release.json", record)
    rehash(folder)


def test_it_verifies_and_says_what_today_would_refuse(bundle: Path) -> None:
    notes: list[str] = []
    assert "release.json" in verify_release(bundle, notes.append)
    assert len(notes) == 1
    assert "fp32 bench_valid" in notes[0]


def test_a_limit_that_the_file_does_not_give_is_that_of_its_time(bundle: Path) -> None:
    (bundle / "gates.yaml").write_text("agreement: 0.5\nvariants: {fp32: {miou_delta: 0.4}}\n")
    limits = {"miou_delta": 0.4}
    change(bundle, lambda record: [row.update(limit=limits.get(row["name"], row["limit"])) for row in record["gates"]])
    verify_release(bundle)
    (bundle / "gates.yaml").write_text("agreement: 0.5\n")
    change(bundle, lambda record: None)
    with pytest.raises(GateFailed, match="fp32 miou_delta: the limit"):
        verify_release(bundle)
    limits["miou_delta"] = 0.0005
    change(bundle, lambda record: [row.update(limit=limits.get(row["name"], row["limit"])) for row in record["gates"]])
    verify_release(bundle)


TAMPERED: dict[str, Callable[[Row], object]] = {
    "a row is missing": lambda record: record["gates"].pop(),
    "a row is too many": lambda record: record["gates"].append(record["gates"][0] | {"name": "cosine"}),
    "a looser limit": lambda record: record["gates"][1].update(limit=0.1),
    "a better value": lambda record: record["gates"][1].update(measured=0.5),
    "not passed": lambda record: record["gates"][2].update(passed=False),
    "no release": lambda record: record.update(passed=False),
    "other evidence": lambda record: record["evidence"].update({"bench.json": "0" * 64}),
    "another schema": lambda record: record.update(schema=0),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered(bundle: Path, kind: str) -> None:
    change(bundle, TAMPERED[kind])
    with pytest.raises(GateFailed, match="contradict each other"):
        verify_release(bundle)


def test_evidence_that_failed_the_gates_of_its_time(bundle: Path) -> None:
    bench = read_json(bundle / "bench.json")
    write_json(bundle / "bench.json", bench | {"valid": False, "invalid_reasons": ["throttled"]})
    change(bundle, lambda record: None)
    with pytest.raises(GateFailed, match="bench_valid"):
        verify_release(bundle)


def test_evidence_of_today_is_not_judged_by_it(bundle: Path, pristine_measured: Path) -> None:
    shutil.copyfile(pristine_measured / "parity.json", bundle / "parity.json")
    change(bundle, lambda record: None)
    with pytest.raises(GateFailed, match="bench_valid does not hold"):
        verify_release(bundle)


def test_gates_that_were_none_then(bundle: Path) -> None:
    (bundle / "gates.yaml").write_text(f"{GATES}relative_l2: 1\n")
    change(bundle, lambda record: None)
    with pytest.raises(GateFailed, match="bench_valid does not hold"):
        verify_release(bundle)
