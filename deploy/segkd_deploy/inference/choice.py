"""Which runtime and which variant run when nobody names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segkd.errors import SegkdError
from segkd.files import read_json
from segkd.folders import ArtifactFiles
from segkd_deploy.artifact import Artifact
from segkd_deploy.evidence import widened
from segkd_deploy.graph_spec import CPU_PROVIDERS


@dataclass(frozen=True)
class Candidate:
    """A runtime with what it runs on."""

    runtime: str
    provider: str

    @property
    def on_cpu(self) -> bool:
        """Whether it runs on the CPU."""
        return self.runtime == "onnxruntime" and self.provider in CPU_PROVIDERS

    def __str__(self) -> str:
        return f"{self.runtime} on {self.provider}"


# Fastest first; the first that is there is taken.
ORDER: tuple[Candidate, ...] = (
    Candidate("tensorrt", "cuda:0"),
    Candidate("tensorrt_rtx", "cuda:0"),
    Candidate("onnxruntime", "cuda"),
    Candidate("onnxruntime", "cpu"),
)


def candidates(artifact: Artifact, variant: str | None) -> list[Candidate]:
    """The runtimes to try, best first: for a variant with unsigned activations onnxruntime alone.

    Raises:
        SegkdError: for a variant that the artifact does not have.
    """
    unsigned = variant is not None and artifact.manifest.variant(variant).activations == "u8"
    return [candidate for candidate in ORDER if candidate.runtime == "onnxruntime" or not unsigned]


def choose_variant(artifact: Artifact, candidate: Candidate, variant: str | None, precision: str | None) -> str:
    """The variant that was asked for, else the one that loses nothing that nobody measured.

    On a GPU fp16 if the artifact's own ``parity.json`` says that it passed on a GPU, else fp32; without fp32 the first
    of the manifest.

    Args:
        artifact: a verified artifact.
        candidate: where it will run.
        variant: what was asked for.
        precision: what was asked for instead.

    Raises:
        SegkdError: if the artifact has no such variant.
    """
    if variant is not None:
        artifact.manifest.variant(variant)
        return variant
    if precision is not None:
        return artifact.variant_for(precision, candidate.runtime, candidate.provider)
    precisions = [record.precision for record in artifact.manifest.variants.values()]
    if not candidate.on_cpu and "fp16" in precisions:
        half = artifact.variant_for("fp16", candidate.runtime, candidate.provider)
        if has_passed(artifact, half):
            return half
    if "fp32" in precisions:
        return artifact.variant_for("fp32", candidate.runtime, candidate.provider)
    return artifact.variants()[0]


def has_passed(artifact: Artifact, variant: str) -> bool:
    """Whether ``parity.json`` speaks of these very bytes and says that all gates of the variant held on a GPU.

    Halves that were computed in float32, as CPUs do, prove nothing: there no sum and no square passes 65504.
    """
    path = artifact.folder / ArtifactFiles.PARITY
    if not path.is_file():
        return False
    try:
        parity: Any = read_json(path)
        part = parity["variants"][variant]
        fresh = parity["artifact"]["manifest_sha256"] == artifact.manifest_sha256
        same = part["sha256"] == artifact.manifest.variant(variant).sha256
        proof = artifact.manifest.variant(variant).precision != "fp16" or not widened(part.get("runtime") or {})
        return bool(fresh and same and proof and part["gates"] and all(gate["passed"] for gate in part["gates"]))
    except (SegkdError, KeyError, TypeError):
        return False
