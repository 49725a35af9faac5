"""What a diagnosis works with, and what it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.manifest import Manifest
from segkd_deploy.graph_spec import GraphSpec, LabelResize
from segkd_deploy.onnx_file.edit import GraphBytes
from segkd_deploy.parity.compare import agreement
from segkd_deploy.parity.diagnosis.resampling import label_resize_of, resized_labels
from segkd_deploy.parity.sessions import open_bytes
from segkd_deploy.reference import relative_l2
from segkd_deploy.runners.onnxruntime import run_frames

# Frames on which hypotheses are tried; the one that is left is confirmed on all.
SCREENING_FRAMES = 2


@dataclass(frozen=True)
class Finding:
    """A fault, in words and numbers.

    Attributes:
        fault: its name, a key of ``diagnosis.FAULTS``.
        text: what is wrong, how that was seen, what to do.
        before: share of pixels that agree as the graph is.
        after: the same with the fault undone; None if that was not tried.
        facts: numbers behind the text.
    """

    fault: str
    text: str
    before: float | None = None
    after: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Case:
    """A graph, its twin, and what its source said.

    Attributes:
        manifest: of the artifact.
        spec: shapes and colours of the frames.
        variant: name of the graph.
        twin: its logits twin.
        frames: uint8, of the shape ``spec.frames_shape(N)``.
        labels: uint8 (N, height, width), what the graph said.
        source: uint8 (N, height, width), what the source said.
        source_logits: float16 (N, K, h, w), the source's; None in old artifacts.
        contrast_response: float32 (N,), how much they changed at half the contrast; None in old artifacts.
        wider: a logits twin of higher precision that holds its limits; None if there is none.
        healthy: share of pixels that agree in a graph without fault.
        threads: threads inside an operator.
    """

    manifest: Manifest
    spec: GraphSpec
    variant: str
    twin: Path
    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    source: NDArray[np.uint8]
    source_logits: NDArray[np.float16] | None
    contrast_response: NDArray[np.float32] | None
    wider: Path | None
    healthy: float
    threads: int | None = None

    @property
    def batch(self) -> int:
        """Frames per call."""
        return self.spec.batch or 1

    @cached_property
    def twin_bytes(self) -> GraphBytes:
        """The logits twin's file."""
        return GraphBytes.read(self.twin)

    @cached_property
    def label_resize(self) -> LabelResize:
        """What the graph does to its logits."""
        return label_resize_of(self.manifest)

    @cached_property
    def mode(self) -> str:
        """How the source upsampled: what turns its logits into its labels."""
        modes = ("bilinear", "bilinear with align_corners")
        if self.source_logits is None:
            model = self.manifest.source.model
            return modes[bool(isinstance(model, dict) and model.get("align_corners"))]
        logits, labels = self.source_logits[:SCREENING_FRAMES], self.source[:SCREENING_FRAMES]
        return max(modes, key=lambda mode: self.agreement_with(labels, resized_labels(logits, self.label_resize, mode)))

    @cached_property
    def logits(self) -> NDArray[Any]:
        """What the twin says of the frames as they are."""
        return self.run(self.frames)

    @cached_property
    def _float_session(self) -> Any:
        content = self.twin_bytes.with_float_input()
        return None if content is None else _open(content, self.threads)

    @cached_property
    def _session(self) -> Any:
        return open_bytes(self.twin_bytes.content, threads=self.threads)

    @property
    def takes_floats(self) -> bool:
        """Whether frames may hold values that no camera gives."""
        return self._float_session is not None

    def run(self, frames: NDArray[Any], batch: int | None = None) -> NDArray[Any]:
        """The twin's logits, ``batch`` frames per call; values are rounded where the graph takes nothing but bytes."""
        batch = batch or self.batch
        if frames.dtype == np.uint8:
            return run_frames(self._session, frames, batch)
        if self.takes_floats:
            return run_frames(self._float_session, frames.astype(np.float32), batch)
        return run_frames(self._session, np.clip(np.rint(frames), 0, 255).astype(np.uint8), batch)

    def own_labels(self, logits: NDArray[Any]) -> NDArray[np.uint8]:
        """The labels that logits should become."""
        return resized_labels(logits, self.label_resize, self.mode)

    def agreement_with(self, labels: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
        """Share of equal labels where the frame lies."""
        if self.spec.content_px is None:
            return agreement(labels, others)
        top, left, height_px, width_px = self.spec.content_px
        part = (slice(None), slice(top, top + height_px), slice(left, left + width_px))
        return agreement(labels[part], others[part])

    def distance(self, logits: NDArray[Any]) -> float:
        """How far logits of the first frames are from the source's; by their labels where it recorded no logits."""
        count = len(logits)
        if self.source_logits is not None:
            value = relative_l2(logits, self.source_logits[:count])
            return value if np.isfinite(value) else np.inf
        return 1 - self.agreement_with(self.own_labels(logits), self.source[:count])

    def restored(self, logits: NDArray[Any]) -> float:
        """Share of pixels that agree with the source if these were the graph's logits."""
        return self.agreement_with(self.own_labels(logits), self.source[: len(logits)])


def explains(before: float, after: float, healthy: float, share: float = 0.25) -> bool:
    """Whether undoing a fault brings agreement back: to a healthy level, or by most of what was lost."""
    return after > before and (1 - after <= share * (1 - before) or (after >= healthy and before < healthy))


def _open(content: bytes, threads: int | None) -> Any:
    """A session, or None if onnxruntime refuses float frames, because the graph does not begin with a cast."""
    try:
        return open_bytes(content, threads=threads)
    except Exception:  # onnxruntime's exceptions share no base class of their own
        return None
