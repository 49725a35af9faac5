"""Lint against the judge: whatever it calls an error, NVIDIA's own parser and compiler refuse, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from segkd.errors import SegkdError
from segkd_deploy.tensorrt.api import load_tensorrt
from segkd_deploy.tensorrt.engines import BuildOptions, get_engine
from segkd_export.lint.lint import lint_file
from tests.export.lint_cases import CASES


@pytest.fixture(scope="module")
def rtx() -> Any:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this system")
    return load_tensorrt("tensorrt_rtx")


@pytest.mark.parametrize("name", CASES)
def test_lint_and_tensorrt_agree(name: str, rtx: Any, tmp_path: Path) -> None:
    path = tmp_path / "case.onnx"
    onnx.save(CASES[name].make(), path)
    try:
        get_engine(rtx, path, BuildOptions(sm=("8.9",)), sm="8.9")
        refused = ""
    except SegkdError as error:
        refused = str(error)
    assert bool(refused) is CASES[name].refused, refused
    assert lint_file(path, "rtx40", "rtx-1.7")[0].passed is not CASES[name].refused
