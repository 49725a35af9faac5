"""Runtimes for exported graphs, found through one table.

- ``base``: what every runtime offers; ``onnxruntime``, ``tensorrt``: the runtimes; ``batches``: many frames through one
- ``decoding``, ``host_decoder``: who turns logits into labels, and how the CPU does
- ``onnx_profile``: what each node did
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from segkd.errors import unknown_name
from segkd_deploy.runners.base import Runner

__all__ = ["RUNNERS", "Runner", "default_provider", "open_runner"]

RUNNERS: dict[str, str] = {
    "onnxruntime": "segkd_deploy.runners.onnxruntime:OnnxRuntimeRunner",
    "tensorrt": "segkd_deploy.runners.tensorrt:TensorRTRunner",
    "tensorrt_rtx": "segkd_deploy.runners.tensorrt:TensorRTRtxRunner",
}

# What a runtime runs on when nothing is said.
DEFAULT_PROVIDERS: dict[str, str] = {"onnxruntime": "cpu", "tensorrt": "cuda:0", "tensorrt_rtx": "cuda:0"}


def default_provider(runtime: str) -> str:
    """What a runtime runs on when nothing is said.

    Raises:
        SegkdError: for an unknown runtime.
    """
    if runtime not in RUNNERS:
        raise unknown_name("runtime", runtime, RUNNERS)
    return DEFAULT_PROVIDERS[runtime]


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
