"""Whole deployments over a real OpenSSH server, of a user without torch, checkout or data."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from segkd_deploy.targets.on_device.agent import is_locked
from segkd_deploy.targets.predictions import predict_reference, read_labels
from tests.deploy.artifacts import make_artifact
from tests.deploy.conftest import SHORT_BENCH, Run
from tests.deploy.targets.ssh_server import SYSTEM_PYTHON, SshServer

SHORT = ["--bench", "--iterations 20 --duration 0 --warmup 0 --no-peak --no-telemetry"]
pytestmark = pytest.mark.long


def as_user(server: SshServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["runuser", "-u", server.user, "--", *words], capture_output=True, text=True, cwd="/")


def left_on_device(server: SshServer) -> list[str]:
    """Jobs that are still there, and the lock if it is held."""
    jobs = [path.name for path in (server.cache / "jobs").iterdir()]
    return jobs + (["lock"] if is_locked(server.cache / "lock") else [])


def test_the_device_has_nothing(server: SshServer) -> None:
    for module in ("torch", "numpy", "onnxruntime", "segkd", "segkd_deploy"):
        done = as_user(server, SYSTEM_PYTHON, "-c", f"import {module}")
        assert done.returncode == 1 and "ModuleNotFoundError" in done.stderr, module
    assert as_user(server, "ls", "/root").returncode != 0  # nor can it look into the home of who deploys


def test_labels_equal_the_local_run(segkd: Run, server: SshServer, pristine: Path, tmp_path: Path) -> None:
    gates = tmp_path / "gates.yaml"
    gates.write_text("agreement: 0.9999\np99_latency_ms: 100000\n")
    out = tmp_path / "out"
    targets = ["--target", server.url, "--target", "local"]
    result = segkd("deploy", pristine, *targets, "--out", out, "--gates", gates, *SHORT, "--json")
    assert result.code == 1, result.err
    report = json.loads(result.out)
    assert report == json.loads((out / "report.json").read_text())
    assert report["labels_equal"] == {"fp32": True}
    remote, local = report["targets"]
    # A short measurement is the one thing that does not pass.
    assert [remote["exit_code"], local["exit_code"]] == [1, 1]
    assert {row["name"] for row in remote["gates"] + local["gates"] if not row["passed"]} == {"bench_valid"}
    assert {row["name"] for row in remote["gates"]} >= {"agreement", "p99_latency_ms"}
    assert [step["name"] for step in remote["steps"]][-3:] == ["validate", "bench fp32", "labels fp32"]

    folder = out / remote["folder"]
    expected = predict_reference(pristine, "fp32", runtime="onnxruntime", provider="cpu")
    np.testing.assert_array_equal(read_labels(folder / "labels.fp32.npz"), expected)
    parity, bench = (json.loads((folder / name).read_text()) for name in ("parity.json", "bench.json"))
    assert parity["agreement"] == 1.0 and bench["method"]["iterations"] == 20
    assert bench["load"]["repetitions"] == 3  # fresh processes find the brought libraries as well
    assert "=== bench" in (folder / "log.txt").read_text()
    assert f"{server.url.removeprefix('ssh://')}: === validate" in result.err  # progress, while it ran
    assert left_on_device(server) == []


def test_only_what_changed_is_copied_again(segkd: Run, server: SshServer, tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "artifact", bias=300.0)  # another graph, and one that is wrong
    url, out = server.url, tmp_path / "out"
    result = segkd("deploy", artifact, "--target", url, "--out", out, *SHORT, "--json")
    assert result.code == 1, result.err
    (target,) = json.loads(result.out)["targets"]
    assert "gates failed: fp32 agreement" in target["error"]
    assert target["variants"]["fp32"]["agreement"] < 0.5
    # The graphs and the manifest; neither the frames nor the runner, which are there.
    assert 0 < target["copied_bytes"] < 20_000


def test_validate_and_bench_on_a_device(segkd: Run, server: SshServer, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("devices: {bench-board: {host: board, env: {OMP_NUM_THREADS: 1}}}\n")
    where = ["--target", "bench-board", "--devices", tmp_path / "devices.yaml", "--json"]
    validated = segkd("validate", artifact, *where, "--variant", "fp32", "--threads", "1")
    assert validated.code == 0, validated.err
    parity = json.loads(validated.out)
    assert parity == json.loads((artifact / "parity.json").read_text())
    assert parity["variants"]["fp32"]["runtime"]["threads"] == 1  # the options went there
    measured = segkd("bench", artifact, *where, *SHORT_BENCH)
    assert measured.code == 0, measured.err
    bench = json.loads(measured.out)
    assert bench == json.loads((artifact / "bench.json").read_text())
    assert bench["method"]["iterations"] == 20
    assert left_on_device(server) == []


def test_doctor_of_a_device(segkd: Run, server: SshServer) -> None:
    result = segkd("doctor", "--target", "ssh://board", "--json")
    assert result.code == 0, result.err
    state = json.loads(result.out)
    assert {state["machine"]["packages"][name] for name in ("torch", "numpy", "onnxruntime")} == {None}
    assert "onnxruntime>=1.20" in state["lacking"] and state["holder"] is None
    assert state["folder"] == str(server.cache) and state["free_bytes"] > state["kept_bytes"] > 0
    assert segkd("doctor", "--target", "ssh://board:1").code == 3


def test_a_failing_target_stops_no_other(segkd: Run, server: SshServer, pristine: Path, tmp_path: Path) -> None:
    targets = ["--target", "ssh://nobody@127.0.0.1:1", "--target", server.url]
    result = segkd("deploy", pristine, *targets, "--out", tmp_path / "out", *SHORT)
    assert result.code == 3
    assert "ssh://" not in result.out
    table = result.out.splitlines()
    # The other was measured; that a bench of so few calls is not valid is its only failed gate.
    assert re.match(r"nobody@127.0.0.1:1 .* - +FAILED$", table[1])
    assert re.search(r" fp32 +1\.000000 .* NO +GATE FAILED$", table[2])
    (line,) = [line for line in result.err.splitlines() if line.startswith("nobody@127.0.0.1:1: nothing listens")]
    assert "is the device on, and sshd running on this port?" in line


def test_killed_client_leaves_no_orphan_and_no_lock(server: SshServer, pristine: Path, tmp_path: Path) -> None:
    words = ["deploy", str(pristine), "--target", server.url, "--out", str(tmp_path / "out"), "--lease", "2"]
    client = subprocess.Popen(
        [sys.executable, "-m", "segkd", *words, "--bench", "--duration 300"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ},
    )
    assert client.stderr is not None
    for line in client.stderr:
        if "=== bench" in line:
            break
    time.sleep(0.5)
    assert any(" bench " in words for words in server.processes().values())
    assert is_locked(server.cache / "lock")
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stderr.close()
    assert server.wait_until_idle() == {}
    assert left_on_device(server) == []
    assert not any(server.url.removeprefix("ssh://").split("@")[0] in words for words in ssh_processes())


def test_ctrl_c_ends_the_run_there(server: SshServer, pristine: Path, tmp_path: Path) -> None:
    words = [
        "deploy",
        str(pristine),
        "--target",
        server.url,
        "--out",
        str(tmp_path / "out"),
        "--bench",
        "--duration 300",
    ]
    client = subprocess.Popen([sys.executable, "-m", "segkd", *words], stderr=subprocess.PIPE, text=True)
    assert client.stderr is not None
    for line in client.stderr:
        if "=== bench" in line:
            break
    client.send_signal(signal.SIGINT)
    rest = client.communicate(timeout=30)[1]
    assert client.returncode == 130 and "stopped by SIGINT" in rest
    assert server.wait_until_idle(5) == {}
    assert left_on_device(server) == []


def ssh_processes() -> list[str]:
    """Command lines of this machine's ssh clients."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"ssh"):
                found.append(b" ".join(words).decode(errors="replace"))
    return found
