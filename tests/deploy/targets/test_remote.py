from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from segkd_deploy.targets.remote import Remote, target_options


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What a command with these options is given."""
    devices = tmp_path / "devices.yaml"
    devices.write_text("devices: {orin: {host: x, runtime: tensorrt, provider: 'cuda:1'}}")
    seen: dict[str, Any] = {}

    @click.command()
    @click.argument("artifact")
    @click.option("--variant", "variants", multiple=True)
    @click.option("--runtime", default="onnxruntime")
    @click.option("--provider")
    @click.option("--preset", default="quick")
    @click.option("-n", "--iterations", type=int)
    @click.option("--graph/--no-graph", default=True)
    @click.option("--out")
    @target_options
    def command(**options: Any) -> None:
        seen.update(options)

    def run(*words: str) -> dict[str, Any]:
        result = CliRunner().invoke(command, ["folder", *words, "--devices", str(devices)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return seen

    return run


def test_without_a_target_nothing_changes(ask: Callable[..., dict[str, Any]]) -> None:
    for words in ([], ["--target", "local"]):
        given = ask(*words)
        assert given["remote"] is None and given["runtime"] == "onnxruntime" and "target" not in given


def test_given_options_go_along_and_no_others(ask: Callable[..., dict[str, Any]]) -> None:
    given = ask("--target", "orin", "--variant", "a", "--variant", "b", "-n", "5", "--no-graph", "--out", "x")
    remote = given["remote"]
    assert isinstance(remote, Remote) and remote.spec.host == "x"
    assert remote.words == ("--variant", "a", "--variant", "b", "--iterations", "5", "--no-graph")
    assert given["out"] == "x"


def test_a_device_has_its_runtime_unless_one_is_named(ask: Callable[..., dict[str, Any]]) -> None:
    given = ask("--target", "orin")
    assert (given["runtime"], given["provider"]) == ("tensorrt", "cuda:1")
    given = ask("--target", "orin", "--runtime", "onnxruntime", "--provider", "cpu")
    assert (given["runtime"], given["provider"]) == ("onnxruntime", "cpu")
