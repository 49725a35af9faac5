"""What a release that is refused means for the quickstart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from segkd import quickstart as module
from segkd.cli import cli
from segkd.errors import GateFailed
from segkd.quickstart import Chain


def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *gates: str) -> dict[str, object]:
    def refuse(self: Chain, *words: str) -> None:
        raise GateFailed(f"not released: {', '.join(gates)}", gates)

    monkeypatch.setattr(Chain, "run", refuse)
    return module._release(Chain(tmp_path), tmp_path, tmp_path / "artifact")


def test_a_disturbed_measurement_alone_postpones_the_release(tmp_path, monkeypatch, capsys) -> None:
    part = release(tmp_path, monkeypatch, "bench_valid")
    artifact = tmp_path / "artifact"
    note = f"on a quiet machine: segkd bench {artifact}; segkd release create {artifact} --gates"
    assert part["passed"] is False and note in str(part["postponed"]) and note in capsys.readouterr().err
    assert release(tmp_path, monkeypatch, "bench_valid", "agreement") == {"passed": False}
    assert release(tmp_path, monkeypatch, "p99_latency_ms") == {"passed": False}


@pytest.mark.parametrize(
    ("part", "code"),
    [({"passed": True}, 0), ({"passed": False, "postponed": "busy"}, 0), ({"passed": False}, 1)],
)
def test_exit_codes(tmp_path, monkeypatch, part, code) -> None:
    monkeypatch.setattr(module, "run_quickstart", lambda out, plan: {"release": part})
    done = CliRunner().invoke(cli, ["quickstart", "--out", str(tmp_path / "new"), "--json"])
    assert json.loads(done.stdout)["release"] == part
    assert getattr(done.exception, "exit_code", done.exit_code) == code
