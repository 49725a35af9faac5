"""Graphs in memory on the CPU, for what no runner offers: logits, inner values, float frames."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from segkd.errors import import_extra
from segkd_deploy.runners.onnxruntime import session_options


def has_onnxruntime() -> bool:
    """Whether onnxruntime is installed; devices with TensorRT alone do without."""
    return importlib.util.find_spec("onnxruntime") is not None


def open_bytes(
    content: bytes,
    *,
    threads: int | None = None,
    as_written: bool = False,
    initializers: Mapping[str, NDArray[Any]] | None = None,
) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        content: an ONNX file.
        threads: threads inside an operator; None for one per core that this process may use.
        as_written: run the operators one by one, without fusing any.
        initializers: name -> value that stands for the file's own.
    """
    ort = import_extra("onnxruntime", "ort")
    options = session_options(threads, as_written=as_written)
    # The session reads them when it opens; until then they must live.
    values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in (initializers or {}).items()}
    for name, value in values.items():
        options.add_initializer(name, value)
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    session.disable_fallback()
    return session
