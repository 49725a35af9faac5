"""Evidence: what was measured of an artifact, and whether it still speaks of the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import read_json, write_atomic, write_json
from segkd.files.written_files import Bench, JsonContent, Parity, check_content, require_key
from segkd.folders import ArtifactFiles
from segkd_deploy.artifact import Artifact

SCHEMA = 1
# What gates and model card read; everything else may be missing.
PARITY_NEEDS = ("artifact", "created", "host.model?")
VARIANT_NEEDS = (
    *("sha256", "agreement", "frames", "flips.total", "flips.interior", "boundary_width_px", "runtime.provider?"),
    *("miou.source?", "miou.graph?", "miou.delta?", "logits_finite?"),
)
BENCH_NEEDS = (
    *("artifact.bytes", "created", "device.model?", "latency_ms.p50", "latency_ms.p99", "latency_ms.max"),
    *("runtime.name?", "runtime.version?", "runtime.provider?", "runtime.threads?", "memory.rss_peak?"),
    *("method.iterations", "method.batch", "method.settings.preset", "load.total_ms", "valid", "warnings"),
)
# Providers of onnxruntime that may give halves to float32 kernels.
_WIDENING = ("CPUExecutionProvider", "OpenVINOExecutionProvider")


def bench_path(artifact: Artifact, variant: str) -> Path:
    """Where the measurement of a variant lies: ``bench.json`` for the artifact's first, else ``bench.VARIANT.json``."""
    first = next(iter(artifact.manifest.variants))
    return artifact.folder / (ArtifactFiles.BENCH if variant == first else f"bench.{variant}.json")


def widened(runtime: Mapping[str, Any]) -> bool:
    """Whether a runtime computes halves in float32: onnxruntime on CPUs, which has hardly any kernels for them.

    Args:
        runtime: what a runner said of itself.
    """
    return runtime.get("name") == "onnxruntime" and runtime.get("provider") in _WIDENING


def write_evidence(path: Path, content: dict[str, Any] | bytes) -> None:
    """Write evidence in one step, an object as JSON.

    Raises:
        SegkdError: if it cannot be written there.
    """
    try:
        write_atomic(path, content) if isinstance(content, bytes) else write_json(path, content)
    except OSError as error:
        raise SegkdError(f"{path}: cannot be written ({error.strerror}); name another file with --out") from error


@dataclass(frozen=True)
class Evidence:
    """Fresh evidence of an artifact.

    Attributes:
        parity: content of ``parity.json``.
        benches: variant -> content of its measurement.
        paths: the files.
    """

    parity: dict[str, Any]
    benches: dict[str, dict[str, Any]]
    paths: list[Path]


def load_evidence(artifact: Artifact, variants: Sequence[str]) -> Evidence:
    """Read the evidence of some variants.

    Raises:
        SegkdError: if a file is missing or incomplete, or speaks of other bytes than the artifact holds now; says
            which command makes it.
    """
    parity_path = artifact.folder / ArtifactFiles.PARITY
    parity = _read(parity_path, f"segkd validate {artifact.folder}", Parity, PARITY_NEEDS)
    benches = {}
    for variant in variants:
        path = bench_path(artifact, variant)
        command = f"segkd bench {artifact.folder} --variant {variant}"
        benches[variant] = _read(path, command, Bench, BENCH_NEEDS)
        part = _part(parity, parity_path, ("variants", variant), f"segkd validate {artifact.folder}")
        for key in VARIANT_NEEDS:
            advice = f"make it again with `segkd validate {artifact.folder}`"
            require_key(part, f"{parity_path}: variants.{variant}", key.split("."), advice)
        _check_fresh(artifact, variant, parity, part, parity_path, f"segkd validate {artifact.folder}")
        measured = _part(benches[variant], path, ("artifact",), command)
        _check_fresh(artifact, variant, benches[variant], measured, path, command)
    return Evidence(parity, benches, [parity_path, *(bench_path(artifact, variant) for variant in variants)])


def _read(path: Path, command: str, model: type[JsonContent], needs: Sequence[str]) -> dict[str, Any]:
    if not path.is_file():
        raise SegkdError(f"{path} is missing; make it with `{command}`")
    content = read_json(path)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise SegkdError(f"{path} is no evidence of schema {SCHEMA}; make it again with `{command}`")
    return check_content(content, str(path), model, f"make it again with `{command}`", needs)


def _part(content: dict[str, Any], path: Path, keys: tuple[str, ...], command: str) -> dict[str, Any]:
    part: Any = content
    for key in keys:
        part = part.get(key) if isinstance(part, dict) else None
    if not isinstance(part, dict):
        raise SegkdError(f"{path} has no {'.'.join(keys)}; make it again with `{command}`")
    return part


def _check_fresh(
    artifact: Artifact, variant: str, content: dict[str, Any], part: dict[str, Any], path: Path, command: str
) -> None:
    seen = _part(content, path, ("artifact",), command).get("manifest_sha256"), part.get("sha256")
    if seen != (artifact.manifest_sha256, artifact.manifest.variant(variant).sha256):
        raise SegkdError(f"{path} is stale: it speaks of another export than {artifact.folder} holds; run `{command}`")
