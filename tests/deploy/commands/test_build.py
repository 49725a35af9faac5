"""The command over the real TensorRT-RTX, and over a machine that has nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from segkd.cli import SUMMARIES
from segkd.errors import install_command
from segkd_deploy.commands.build import build
from segkd_deploy.tensorrt.api import load_tensorrt
from segkd_deploy.tensorrt.cuda import open_cuda
from tests.deploy.conftest import Run


def test_help_says_what_the_front_door_says() -> None:
    assert build.get_short_help_str(200) == SUMMARIES["build"]


def test_compiles_without_a_gpu(artifact: Path, segkd: Run, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this system")
    version = load_tensorrt("tensorrt_rtx").version
    words = ["build", artifact, "--runtime", "tensorrt_rtx", "--sm", "8.6", "--out", tmp_path / "out"]
    result = segkd(*words, "--json")
    (built,) = json.loads(result.out)
    assert result.code == 0 and "building an engine of model.fp32.onnx" in result.err
    assert (built["sm"], built["runtime"]["version"], built["from_cache"]) == ("8.6", version, False)
    assert Path(built["file"]).stat().st_size == built["bytes"] > 10_000
    table = segkd(*words).out
    assert table.splitlines()[0].split() == ["graph", "SM", "layers", "MB", "seconds", "from", "file"]
    assert "model.fp32.onnx" in table


def test_what_is_missing_is_named(artifact: Path, segkd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for command in ("build", "validate", "bench"):
        result = segkd(command, artifact, "--runtime", "tensorrt")
        assert (result.code, result.out) == (3, "")
        assert result.err.splitlines()[-1] == f"segkd: tensorrt is not installed: {install_command('tensorrt')}"


def test_without_a_driver_nothing_runs(artifact: Path, segkd: Run) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this system")
    try:
        open_cuda().open_gpu(0)
    except Exception:
        result = segkd("validate", artifact, "--runtime", "tensorrt_rtx")
        assert result.code == 3 and result.err.count("\n") == 1 and "CUDA" in result.err
    else:
        assert segkd("validate", artifact, "--runtime", "tensorrt_rtx").code == 0


def test_bad_input(artifact: Path, segkd: Run) -> None:
    for words, message in (
        (["build", artifact, "--runtime", "tensort"], "did you mean 'tensorrt'"),
        (["build", artifact, "--batch", "many"], "expected N, A-B or A-N-B"),
        (["build", artifact, "--variant", "int9"], "no variant 'int9'"),
        (["bench", artifact, "--runtime", "tensort"], "unknown runtime 'tensort'; did you mean 'tensorrt'"),
        (["validate", artifact, "--runtime", "tensorrt", "--provider", "cpu"], "expected cuda or cuda:N, got 'cpu'"),
    ):
        result = segkd(*words)
        assert result.code == 2 and message in result.err, result.err
