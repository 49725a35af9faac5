"""The gate right after export: onnxruntime's labels and logits against torch's, on the reference frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import GateFailed
from segkd_deploy.runners.onnxruntime import open_session
from segkd_export.reference import Prediction

MIN_AGREEMENT = 0.9999
MAX_RELATIVE_L2 = 1e-4
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
    """Run a float32 graph and its logits twin on the CPU and hold them against torch.

    Args:
        labels_file: the complete graph.
        logits_file: its twin.
        images: frames as the graph takes them, uint8 (N, ...).
        source: the torch network on the same frames.
        batch: the graphs' batch.

    Raises:
        GateFailed: if labels agree on fewer than 99.99 % of the pixels that are no ties, the logits differ by more
            than a relative 1e-4, or a logit is not finite.
        BackendMissing: if onnxruntime is not installed.
    """
    check = compare_graph(labels_file, logits_file, images, source, batch)
    if check.agreement < MIN_AGREEMENT or check.logits_relative_l2 > MAX_RELATIVE_L2:
        raise GateFailed(
            f"the exported graph is not the network: labels agree on {check.agreement:.6f} of the clear pixels "
            f"(at least {MIN_AGREEMENT}), logits differ by {check.logits_relative_l2:.1e} (at most {MAX_RELATIVE_L2}); "
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
            "precision of a wider range"
        )
    difference = np.linalg.norm((logits - source.logits).astype(np.float64))
    scale = np.linalg.norm(source.logits.astype(np.float64))
    clear = source.margin.astype(np.float32) > TIE_SHARE * np.abs(source.logits).max()
    equal = labels == source.labels
    return GraphCheck(
        agreement=float(equal[clear].mean()) if clear.any() else 1.0,
        agreement_all=float(equal.mean()),
        ties=float(1 - clear.mean()),
        logits_relative_l2=float(difference / max(scale, np.finfo(np.float64).tiny)),
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
    session = open_session(path)
    name = session.get_inputs()[0].name
    outputs = []
    for start in range(0, len(images), batch):
        chunk = images[start : start + batch]
        filled = np.concatenate([chunk, np.repeat(chunk[-1:], batch - len(chunk), axis=0)])
        outputs.append(session.run(None, {name: filled})[0][: len(chunk)])
    return np.concatenate(outputs)
