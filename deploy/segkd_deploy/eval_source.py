"""Opens an artifact for ``segkd eval``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Sample
from segkd.errors import SegkdError
from segkd.evaluation.predictor import Predictor
from segkd.evaluation.sources import Request
from segkd_deploy.artifact import open_artifact
from segkd_deploy.evaluate import crop_content, frame_of, label_frames, resize_labels
from segkd_deploy.runners import Runner, open_runner

DEFAULT_VARIANT = "fp32"


class GraphPredictor(Predictor):
    """A graph: images are resized to its frame, its labels back to the size of the truth, nearest pixel centre.

    Args:
        runner: of a graph; entering opens it, and who has it open already need not enter.
        class_names: the graph's classes.
        origin: where the graph is from, for ``describe``.
    """

    one_size = False

    def __init__(self, runner: Runner, class_names: Sequence[str], origin: Mapping[str, Any] | None = None) -> None:
        self.class_names = tuple(class_names)
        self.batch = runner.spec.batch or 1
        self._runner, self._origin = runner, dict(origin or {})
        self._runtime: dict[str, Any] = {}

    def __enter__(self) -> GraphPredictor:
        """Open the session."""
        self._runner.__enter__()
        self._runtime = self._runner.describe()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        self._runner.__exit__(kind, error, trace)

    def predict(self, samples: Sequence[Sample]) -> list[NDArray[np.uint8]]:
        """Labels at the size of each mask."""
        spec = self._runner.spec
        labels = label_frames(self._runner, np.stack([frame_of(sample.image, spec) for sample in samples]))
        return [
            resize_labels(crop_content(part, spec), *sample.mask.shape)
            for part, sample in zip(labels, samples, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """The graph and its runtime."""
        return {**self._origin, "runtime": self._runtime}


def open_graph(request: Request) -> GraphPredictor:
    """A variant of an artifact; ``fp32`` if none is named.

    Raises:
        SegkdError: for an unknown variant, or settings that a finished graph cannot follow.
        GateFailed: if a file changed since the export.
        BackendMissing: if the runtime or its provider is not there.
    """
    if not request.inference.is_plain:
        raise SegkdError(
            "a graph has its size and upsampling inside: sliding windows, scales, flips and test scales are for the "
            "run that it was exported from"
        )
    artifact = open_artifact(Path(request.source).expanduser())
    wanted, network = request.inference.align_corners, artifact.manifest.source.model
    if wanted is not None and (not isinstance(network, dict) or network.get("align_corners") != wanted):
        raise SegkdError(
            f"the protocol upsamples logits with align_corners={wanted}, and {request.source} was exported from a "
            "network that does not: score the run instead"
        )
    known = artifact.variants()
    if request.variant is None and DEFAULT_VARIANT not in known:
        raise SegkdError(
            f"{request.source} has no {DEFAULT_VARIANT} variant: give --variant, one of {', '.join(known)}"
        )
    (variant,) = artifact.variants([request.variant or DEFAULT_VARIANT])
    graph, spec = artifact.graph(variant), artifact.spec()
    runner = open_runner(graph, provider=request.provider, threads=request.threads, spec=spec)
    origin = {
        "artifact": str(artifact.folder),
        "variant": variant,
        "graph_sha256": artifact.manifest.variant(variant).sha256,
        "manifest_sha256": artifact.manifest_sha256,
    }
    return GraphPredictor(runner, artifact.class_names, origin)
