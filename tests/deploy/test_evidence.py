from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.artifact import open_artifact
from segkd_deploy.evidence import bench_path, load_evidence, write_evidence
from tests.deploy.artifacts import save_manifest


def test_fresh_evidence(measured: Path) -> None:
    evidence = load_evidence(open_artifact(measured), ["fp32"])
    assert evidence.parity["agreement"] == 1.0
    assert evidence.benches["fp32"]["latency_ms"]["p50"] > 0
    assert [path.name for path in evidence.paths] == ["parity.json", "bench.json"]


@pytest.mark.parametrize(("name", "command"), [("parity.json", "segkd validate"), ("bench.json", "segkd bench")])
def test_missing_evidence_names_its_command(measured: Path, name: str, command: str) -> None:
    (measured / name).unlink()
    with pytest.raises(SegkdError, match=f"{name} is missing; make it with `{command} ") as error:
        load_evidence(open_artifact(measured), ["fp32"])
    assert error.value.exit_code == 2


@pytest.mark.parametrize(("name", "part"), [("parity.json", ["variants", "fp32"]), ("bench.json", ["artifact"])])
def test_evidence_of_another_graph_is_stale(measured: Path, name: str, part: list[str]) -> None:
    content = json.loads((measured / name).read_text())
    inner = content
    for key in part:
        inner = inner[key]
    inner["sha256"] = "f" * 64
    (measured / name).write_text(json.dumps(content))
    with pytest.raises(SegkdError, match=f"{name} is stale.*run `segkd"):
        load_evidence(open_artifact(measured), ["fp32"])


def test_a_new_manifest_makes_all_evidence_stale(measured: Path) -> None:
    (measured / "parity.json").rename(measured.parent / "parity.json")
    (measured / "bench.json").rename(measured.parent / "bench.json")
    (measured / "reference" / "more.txt").write_text("another export")
    save_manifest(measured)
    for name in ("parity.json", "bench.json"):
        (measured.parent / name).rename(measured / name)
    with pytest.raises(SegkdError, match=r"parity\.json is stale"):
        load_evidence(open_artifact(measured), ["fp32"])


@pytest.mark.parametrize("content", ["[]", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "variants": []}'])
def test_incomplete_evidence(measured: Path, content: str) -> None:
    (measured / "parity.json").write_text(content)
    with pytest.raises(SegkdError, match=r"parity\.json(: | is no evidence| has no variants\.fp32).*make it again"):
        load_evidence(open_artifact(measured), ["fp32"])


def test_first_variant_has_the_plain_name(pristine: Path) -> None:
    artifact = open_artifact(pristine)
    assert bench_path(artifact, "fp32").name == "bench.json"
    assert bench_path(artifact, "fp16").name == "bench.fp16.json"


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SegkdError, match=r"cannot be written .*--out"):
        write_evidence(tmp_path / "file" / "parity.json", {})
