"""Whether the graphs of an artifact are what its manifest says, and all that they need is hashed."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import Any

from segkd.errors import SegkdError
from segkd.files.small_files import listed, one_line, parse_json
from segkd.manifest import Manifest, Variant
from segkd_deploy.onnx_file.header import OnnxHeader, TensorInfo, read_header


def require_agreement(folder: Path, manifest: Manifest) -> None:
    """Hold every graph against the manifest.

    What an exported graph says of itself (classes, palette, normalisation, tensors, opset) must be what the manifest
    says; metadata that a graph lacks are not asked for. Files that graphs keep their weights in must have a hash.

    Raises:
        SegkdError: naming each contradiction, or a graph that cannot be read.
    """
    problems = []
    for name, variant in manifest.variants.items():
        graph = folder / variant.file
        header = read_header(graph)
        found = [*_said(header, manifest), *_tensors(header, manifest), *_record(header, graph, variant)]
        problems += [f"{variant.file}: {words}" for words in found]
        problems += _unhashed(header, variant.file, manifest)
        if variant.logits_file is not None:
            problems += _unhashed(read_header(folder / variant.logits_file), variant.logits_file, manifest)
        if not header.inputs or not header.outputs:
            problems.append(f"{name} has no inputs or outputs")
    if problems:
        raise SegkdError(f"{folder}: graphs and manifest contradict each other: {listed(problems)}; export again")


def _said(header: OnnxHeader, manifest: Manifest) -> list[str]:
    """Contradictions of the graph's metadata."""
    labels, norm, frame = manifest.label_space, manifest.normalisation, manifest.input
    content = None if manifest.geometry is None else manifest.geometry.content_px()
    expected: dict[str, Any] = {
        "classes": labels.names,
        "palette": [list(colour) for colour in labels.palette],
        "ignore": labels.ignore,
        "mean": list(norm.mean),
        "std": list(norm.std),
        "content": None if content is None else list(content),
    }
    plain = {"color": frame.color, "yuv": frame.yuv, "weights_sha256": manifest.source.weights_sha256}
    problems = []
    for key, value in expected.items():
        if key in header.metadata and not _same(parse_json(header.metadata[key], f"metadata {key}"), value):
            problems.append(_words(key, header.metadata[key], value))
    for key, value in plain.items():
        if key in header.metadata and header.metadata[key] != value:
            problems.append(_words(key, header.metadata[key], value))
    return problems


def _same(said: Any, expected: Any) -> bool:
    if isinstance(said, list) and isinstance(expected, list):
        return len(said) == len(expected) and all(_same(*pair) for pair in zip(said, expected, strict=True))
    if isinstance(said, float) or isinstance(expected, float):
        numbers = isinstance(said, (int, float)) and isinstance(expected, (int, float))
        return numbers and math.isclose(said, expected, rel_tol=1e-6, abs_tol=1e-9)
    return bool(said == expected)


def _tensors(header: OnnxHeader, manifest: Manifest) -> list[str]:
    """Contradictions of names and shapes of input and output."""
    frame, labels = manifest.input, manifest.outputs.labels
    rows_px = frame.height_px * 3 // 2 if frame.layout == "NHW" else frame.height_px
    shape = [frame.batch, rows_px, frame.width_px, *([] if frame.layout == "NHW" else [3])]
    labels_px = (frame.height_px, frame.width_px) if manifest.geometry is None else manifest.geometry.labels_px(frame)
    problems = _tensor("input", header.inputs[0], frame.name, shape)
    problems += _tensor("output", header.outputs[0], labels.name, list(labels.shape))
    if list(labels.shape[1:]) != list(labels_px):
        problems.append(_words("shape of the labels", list(labels_px), list(labels.shape)))
    return problems


def _tensor(what: str, found: TensorInfo, name: str, shape: list[Any]) -> list[str]:
    problems = [] if found.name == name else [_words(f"name of the {what}", found.name, name)]
    fits = len(found.shape) == len(shape) and all(
        wanted is None or isinstance(wanted, str) or side is None or side == wanted
        for side, wanted in zip(found.shape, shape, strict=True)
    )
    return problems if fits else [*problems, _words(f"shape of the {what}", list(found.shape), shape)]


def _record(header: OnnxHeader, graph: Path, variant: Variant) -> list[str]:
    """Contradictions of size and opset."""
    size, opset = graph.stat().st_size, header.opsets.get("", variant.opset)
    problems = [] if size == variant.bytes else [_words("bytes", size, variant.bytes)]
    return problems if opset == variant.opset else [*problems, _words("opset", opset, variant.opset)]


def _words(key: str, found: Any, expected: Any) -> str:
    return f"{key} is {one_line(found, 50)}, the manifest says {one_line(expected, 50)}"


def _unhashed(header: OnnxHeader, graph: str, manifest: Manifest) -> list[str]:
    """Files with a graph's weights that nothing vouches for."""
    known = {PurePosixPath(name) for name in manifest.files}
    beside = PurePosixPath(graph).parent
    return [
        f"{graph} keeps weights in {one_line(name, 60)}, which has no hash in the manifest"
        for name in sorted(header.external)
        if beside / PurePosixPath(name) not in known
    ]
