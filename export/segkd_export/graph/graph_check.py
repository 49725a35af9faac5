"""The gate right after export: onnxruntime's labels and logits against torch's, on the reference frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import GateFailed
from segkd_deploy.gates import limits_of
from segkd_deploy.reference import relative_l2
from segkd_deploy.runners.onnxruntime import open_session, run_frames
from segkd_export.reference import Prediction

# A pixel is a tie when its margin is below this share of the largest logit: float32 rounding alone can flip it.
TIE_SHARE = 1e-4


@dataclass(frozen=True)
class GraphCheck:
    """How far a graph is from its source.

    Attributes:
        agreement: share of equal labels among the pixels that are no ties, 0..1.
        agreement_all: share of equal labels among all pixels, 0..1.
        ties: share of pixels whose two best logits are nearly equal, 0..1.
        logits_relative_l2: norm of the difference of the logits over the norm of torch's.
        frames: frames compared.
    """

    agreement: float
    agreement_all: float
    ties: float
    logits_relative_l2: float
    frames: int

    def to_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def check_graph(
    labels_file: Path, logits_file: Path, images: NDArray[np.uint8], source: Prediction, batch: int
) -> GraphCheck:
    """Run a float32 graph and its logits graph on the CPU and compare them with torch.

    Args:
        labels_file: the complete graph.
        logits_file: its logits graph.
        images: frames as the graph takes them, uint8 (N, ...).
        source: the torch network on the same frames.
        batch: the graphs' batch.

    Raises:
        GateFailed: if labels agree on fewer than 99.99 % of the pixels that are no ties, the logits differ by more
            than a relative 1e-4, or a logit is not finite.
        BackendMissing: if onnxruntime is not installed.
    """
    check = compare_graph(labels_file, logits_file, images, source, batch)
    limits = limits_of("fp32")
    least, most = limits["agreement"], limits["relative_l2"]
    if check.agreement < least or check.logits_relative_l2 > most:
        raise GateFailed(
            f"the exported graph is not the network: labels agree on {check.agreement:.6f} of the clear pixels "
            f"(at least {least}), logits differ by {check.logits_relative_l2:.1e} (at most {most}); "
            "nothing was written"
        )
    return check


def compare_graph(
    labels_file: Path, logits_file: Path, images: NDArray[np.uint8], source: Prediction, batch: int
) -> GraphCheck:
    """Measure a graph of any precision against torch; the arguments are those of :func:`check_graph`.

    Raises:
        GateFailed: if a logit is not finite.
        BackendMissing: if onnxruntime is not installed.
    """
    labels = run_graph(labels_file, images, batch)
    logits = run_graph(logits_file, images, batch)
    if not (np.isfinite(logits).all() and np.isfinite(source.logits).all()):
        raise GateFailed(
            f"{logits_file.name}: logits are not finite on the reference frames; train the network again, or use a "
            "higher precision"
        )
    clear = source.margin.astype(np.float32) > TIE_SHARE * np.abs(source.logits).max()
    equal = labels == source.labels
    return GraphCheck(
        agreement=float(equal[clear].mean()) if clear.any() else 1.0,
        agreement_all=float(equal.mean()),
        ties=float(1 - clear.mean()),
        logits_relative_l2=relative_l2(logits, source.logits),
        frames=len(images),
    )


def run_graph(path: Path, images: NDArray[np.uint8], batch: int) -> NDArray[Any]:
    """Run a graph of one input and one output with onnxruntime on the CPU.

    Args:
        path: the ONNX file.
        images: frames as the graph takes them, uint8 (N, ...); the last batch is filled up with its last frame.
        batch: frames per call.

    Returns:
        The output for the N frames.
    """
    return run_frames(open_session(path), images, batch)
