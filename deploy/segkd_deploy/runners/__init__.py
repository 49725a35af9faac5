"""Runtimes for exported graphs, found through one table."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from segkd.errors import unknown_name
from segkd_deploy.runners.base import Runner, RunnerSpec

__all__ = ["RUNNERS", "Runner", "RunnerSpec", "open_runner"]

RUNNERS: dict[str, str] = {
    "onnxruntime": "segkd_deploy.runners.onnxruntime:OnnxRuntimeRunner",
}


def open_runner(graph: Path, runtime: str = "onnxruntime", **options: Any) -> Runner:
    """Make the runner of a runtime; its session opens with ``with``.

    Raises:
        SegkdError: for an unknown runtime.
        BackendMissing: if its library is not installed.
    """
    if runtime not in RUNNERS:
        raise unknown_name("runtime", runtime, RUNNERS)
    module, attribute = RUNNERS[runtime].split(":")
    runner: Runner = getattr(importlib.import_module(module), attribute)(graph, **options)
    return runner
