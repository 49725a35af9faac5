"""Running, comparing, timing and releasing exported graphs; no torch, no data set needed.

The product's way in is ``from segkd_deploy import load; labels = load("artifact/")(frame)`` (``inference/model.py``).

- ``artifact``, ``graph_spec``, ``reference``: an opened artifact, its graphs' contract, the frames that it brings along
- ``camera``, ``evaluate``, ``eval_source``: frames as cameras give them, labels of a set, artifacts for ``segkd eval``
- ``chips``, ``device``: what graphs are made for, and what is here; ``evidence``: whether measurements still hold
- ``runners/``, ``onnx_file/``, ``tensorrt/``, ``inference/``: running graphs; ``parity/``, ``bench/``: judging them
- ``gates/``, ``release/``, ``compare/``: verdicts; ``targets/``, ``telemetry/``: devices and their state
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkd_deploy.inference.model import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """``load``, imported when it is asked for: the command line's help needs none of it."""
    if name == "load":
        from segkd_deploy.inference.model import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
