"""What onnxruntime says of every node of a graph after running it once: shapes, and the provider it ran on."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners.onnxruntime import PROVIDERS, provider_options, session_options


def profile_nodes(
    graph: Path, spec: GraphSpec, *, provider: str = "cpu", threads: int = 1, optimised: bool = False
) -> list[dict[str, Any]] | None:
    """Run a graph once.

    Args:
        graph: the ONNX file.
        spec: its shapes.
        provider: a key of ``PROVIDERS``.
        threads: threads inside an operator.
        optimised: whether nodes are fused as they are when it counts; unoptimised they are those of the file.

    Returns:
        Per node ``op_name``, ``provider``, ``input_type_shape`` and ``output_type_shape``; None without onnxruntime,
        or if it cannot run the graph there.
    """
    try:
        import onnxruntime as ort
    except ImportError:
        return None
    options = session_options(threads, as_written=not optimised)
    options.enable_profiling, options.log_severity_level = True, 4
    # Weights that a kernel has packed are missing from the profile's shapes.
    options.add_session_config_entry("session.disable_prepacking", "1")
    chosen = {"providers": [PROVIDERS[provider]], "provider_options": [provider_options(provider, threads)]}
    with tempfile.TemporaryDirectory(prefix="segkd-profile-") as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        try:
            session = ort.InferenceSession(str(graph), sess_options=options, **chosen)
            session.run(None, {session.get_inputs()[0].name: np.zeros(spec.frames_shape(spec.batch or 1), np.uint8)})
        except Exception:  # onnxruntime's exceptions share no base class; without the profile nothing else is wrong
            return None
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [event["args"] for event in events if event.get("cat") == "Node" and "provider" in event.get("args", {})]


def nodes_per_provider(graph: Path, spec: GraphSpec, provider: str, threads: int) -> dict[str, int] | None:
    """How many nodes run on which provider: a provider leaves what it does not know to the CPU, and says nothing.

    Returns:
        onnxruntime's name of a provider -> number of nodes after fusing; None as for ``profile_nodes``.
    """
    nodes = profile_nodes(graph, spec, provider=provider, threads=threads, optimised=True)
    if nodes is None:
        return None
    names = [node["provider"] for node in nodes]
    return {name: names.count(name) for name in dict.fromkeys(names)}
