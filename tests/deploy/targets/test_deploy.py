from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from segkd.errors import BackendMissing
from segkd.files import write_json
from segkd_deploy.artifact import open_artifact
from segkd_deploy.targets.deploy import Request, deploy_all, deploy_steps, folder_name
from segkd_deploy.targets.job import Outcome
from segkd_deploy.targets.predictions import predict_reference, write_labels
from segkd_deploy.targets.spec import TargetSpec

RUNTIME = {"runtime": "onnxruntime", "provider": "cpu"}
FACTS = {"hostname": "h", "machine": "aarch64", "python": "3.10.12", "libc": ["glibc", "2.35"]}


def request_for(folder: Path, out: Path, *names: str, **changes: Any) -> Request:
    specs = [TargetSpec(name, host=name, runtime="tensorrt" if name == "orin" else None) for name in names]
    return Request(open_artifact(folder), specs, out, **changes)


def test_steps_with_and_without_an_engine(pristine: Path, tmp_path: Path) -> None:
    request = request_for(pristine, tmp_path, "orin", "pi", threads=2, bench=("--preset", "quick"))
    orin, pi = (deploy_steps(request, spec) for spec in request.specs)
    assert [step.name for step in orin] == ["build", "validate", "bench fp32", "labels fp32"]
    assert [step.name for step in pi] == ["validate", "bench fp32", "labels fp32"]
    words = " ".join(orin[2].argv)
    assert words.startswith("{python} -m segkd bench artifact --preset quick --variant fp32 --runtime tensorrt")
    assert words.endswith("--provider cuda:0 --threads 2 --out out/bench.json")
    assert "--runtime onnxruntime --provider cpu" in " ".join(pi[0].argv)
    chosen = dataclasses.replace(request, runtime="onnxruntime")
    assert [step.name for step in deploy_steps(chosen, chosen.specs[0])] == [step.name for step in pi]


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch, pristine_measured: Path) -> dict[str, Any]:
    """Devices that give recorded evidence; name -> what is different there, or an error."""
    different: dict[str, Any] = {}

    def run(spec: TargetSpec, artifact: Any, steps: Any, out: Path, **_: Any) -> Outcome:
        change = different.get(spec.name)
        if isinstance(change, Exception):
            raise change
        out.mkdir(parents=True)
        parity, bench = (json.loads((pristine_measured / name).read_text()) for name in ("parity.json", "bench.json"))
        if change is not None:
            change(parity, bench)
        files = {"parity.json": parity, "bench.json": bench}
        for name, content in files.items():
            write_json(out / name, content)
        write_labels(out / "labels.fp32.npz", predict_reference(pristine_measured, "fp32", **RUNTIME))
        return Outcome(FACTS, [], [out / name for name in (*files, "labels.fp32.npz")], "the log", 7)

    monkeypatch.setattr("segkd_deploy.targets.deploy.run_on_target", run)
    return different


def test_report(devices: dict[str, Any], pristine: Path, tmp_path: Path) -> None:
    devices["gone"] = BackendMissing("gone: nothing listens there")
    report = deploy_all(request_for(pristine, tmp_path, "pi", "gone", "pi2"))
    assert report["exit_code"] == 3
    pi, gone, _ = report["targets"]
    assert (gone["exit_code"], gone["error"], gone["variants"]) == (3, "gone: nothing listens there", {})
    assert (pi["exit_code"], pi["error"], pi["copied_bytes"], pi["device"]) == (0, None, 7, FACTS)
    part, bench = pi["variants"]["fp32"], json.loads((tmp_path / "pi" / "bench.json").read_text())
    assert (part["agreement"], part["p99_ms"]) == (1.0, bench["latency_ms"]["p99"])
    assert len(part["labels_sha256"]) == len(hashlib.sha256().hexdigest())
    assert report["labels_equal"] == {"fp32": True}
    assert (tmp_path / "pi" / "log.txt").read_text() == "the log"
    assert json.loads((tmp_path / "report.json").read_text())["exit_code"] == 3


def test_gates_hold_for_each_device_on_its_own(devices: dict[str, Any], pristine: Path, tmp_path: Path) -> None:
    def slow(_: Any, bench: Any) -> None:
        bench["latency_ms"]["p99"] = 50.0

    devices["slow"] = slow
    gates = {"p99_latency_ms": 40.0}
    report = deploy_all(request_for(pristine, tmp_path, "pi", "slow", gates=gates))
    pi, late = report["targets"]
    assert (pi["exit_code"], late["exit_code"], report["exit_code"]) == (0, 1, 1)
    assert late["error"] == "gates failed: fp32 p99_latency_ms"


@pytest.mark.parametrize("gates", [{}, {"agreement": 0.5}])
def test_a_measurement_that_is_not_valid_is_no_pass(
    devices: dict[str, Any], pristine: Path, tmp_path: Path, gates: dict[str, float]
) -> None:
    def throttled(_: Any, bench: Any) -> None:
        bench |= {"valid": False, "invalid_reasons": ["the machine throttled", "the median rose"]}

    devices["hot"] = throttled
    report = deploy_all(request_for(pristine, tmp_path, "pi", "hot", gates=gates))
    pi, hot = report["targets"]
    assert (pi["exit_code"], hot["exit_code"], report["exit_code"]) == (0, 1, 1)
    assert hot["error"] == "gates failed: fp32 bench_valid (the machine throttled; the median rose)"
    assert [row["name"] for row in hot["gates"] if not row["passed"]] == ["bench_valid"]


def test_evidence_of_other_bytes_is_refused(devices: dict[str, Any], pristine: Path, tmp_path: Path) -> None:
    def other(parity: Any, _: Any) -> None:
        parity["artifact"]["manifest_sha256"] = "0" * 64

    devices["pi"] = other
    (target,) = deploy_all(request_for(pristine, tmp_path, "pi"))["targets"]
    assert target["exit_code"] == 2 and "is stale" in target["error"]


@pytest.mark.parametrize(("name", "folder"), [("orin", "orin"), ("me@10.0.0.1:22", "me-10.0.0.1-22"), ("..", "target")])
def test_folder_names(name: str, folder: str) -> None:
    assert folder_name(name) == folder
