"""The model card: one page on what is in a bundle, what it was measured to do, and where that ends."""

from __future__ import annotations

from typing import Any

from segkd.files.markdown import escape_all
from segkd.manifest import Manifest
from segkd.table import format_number
from segkd_deploy.artifact import Artifact
from segkd_deploy.evidence import Evidence
from segkd_deploy.gates import GATES, miou


def write_card(artifact: Artifact, evidence: Evidence, record: dict[str, Any]) -> str:
    """The card as Markdown.

    Args:
        artifact: what is released.
        evidence: what was measured of it.
        record: the content of ``release.json``.
    """
    # Names of classes, runs, files and machines are other people's text.
    manifest = Manifest.model_validate(escape_all(artifact.manifest.model_dump(mode="json", by_alias=True)))
    parity, benches, record = escape_all(evidence.parity), escape_all(evidence.benches), escape_all(record)
    parts = [
        f"# {record['name']} {record['version']}",
        _what(manifest),
        _contract(manifest),
        "## Quality\n\n" + "\n".join(_quality(variant, parity) for variant in benches),
        "## Speed\n\n" + "\n".join(_speed(variant, bench) for variant, bench in benches.items()),
        _gates(record["gates"]),
        _limits(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _what(manifest: Manifest) -> str:
    source, names = manifest.source, manifest.label_space.names
    network = source.model if isinstance(source.model, str) else source.model.get("name", "see manifest.json")
    return "\n".join(
        [
            "Semantic segmentation: one class per pixel.",
            "",
            f"- Source run: `{source.run}`; network: {network}",
            f"- Source weights: sha256 `{source.weights_sha256}`; code: {source.git or 'commit not recorded'}",
            f"- Data of the reference frames: fingerprint `{source.fingerprint or 'not recorded'}`",
            f"- Exported {manifest.created} by segkd {manifest.segkd_version}",
            f"- {len(names)} classes: {', '.join(names)}",
        ]
    )


def _contract(manifest: Manifest) -> str:
    frame, labels, norm = manifest.input, manifest.outputs.labels, manifest.normalisation
    batch = frame.batch or "N"
    rows, tail = (frame.height_px * 3 // 2, "") if frame.color == "NV12" else (frame.height_px, ", 3")
    labels_px = (frame.height_px, frame.width_px) if manifest.geometry is None else manifest.geometry.labels_px(frame)

    return "\n".join(
        [
            "## Input and output",
            "",
            f"- Input `{frame.name}`: {frame.dtype} {frame.layout} ({batch}, {rows}, {frame.width_px}{tail}), "
            f"{frame.color}{f' ({frame.yuv})' if frame.yuv else ''}, 0..255",
            f"- Output `{labels.name}`: {labels.dtype} ({batch}, {labels_px[0]}, {labels_px[1]}), class indices",
            f"- Normalisation is inside the graph: mean {list(norm.mean)}, std {list(norm.std)}",
            "",
            "| variant | file | precision | opset | MB |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | `{variant.file}` | {variant.precision} | {variant.opset} | {variant.bytes / 1e6:.2f} |"
                for name, variant in manifest.variants.items()
            ),
        ]
    )


def _quality(variant: str, parity: dict[str, Any]) -> str:
    part = parity["variants"][variant]
    value, where = miou(part)
    flips = part["flips"]
    return "\n".join(
        [
            f"- {variant}: mIoU {format_number(value)} on {where}",
            f"- {variant}: {part['agreement']:.6f} of the pixels of {part['frames']} reference frames have the label "
            f"of the torch source ({flips['total']} differ, {flips['interior']} of them more than "
            f"{part['boundary_width_px']} px from a boundary); mIoU there {format_number(part['miou']['source'])} -> "
            f"{format_number(part['miou']['graph'])}",
            f"- {variant}: compared {parity['created']} on {parity['host']['model']}, {part['runtime']['provider']}",
        ]
    )


def _speed(variant: str, bench: dict[str, Any]) -> str:
    latency, runtime, method = bench["latency_ms"], bench["runtime"], bench["method"]
    peak = bench["memory"]["rss_peak"]
    return "\n".join(
        [
            f"- {variant}: p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms, max {latency['max']:.2f} ms over "
            f"{method['iterations']} calls of batch {method['batch']} (preset {method['settings']['preset']})",
            f"- {variant}: cold start {bench['load']['total_ms']:.0f} ms"
            + ("" if peak is None else f", peak memory {peak / 1e6:.0f} MB"),
            f"- {variant}: measured {bench['created']} on {bench['device']['model']}, {runtime['name']} "
            f"{runtime['version']}, {runtime['provider']}, {runtime['threads']} threads",
            *(f"- {variant}: warning: {warning}" for warning in bench["warnings"]),
        ]
    )


def _gates(gates: list[dict[str, Any]]) -> str:
    lines = ["## Gates", "", "| variant | gate | limit | measured | passed | meaning |", "|---|---|---|---|---|---|"]
    for gate in gates:
        meaning = GATES[gate["name"]].meaning if gate["name"] in GATES else ""
        limit, measured = format_number(gate["limit"]), format_number(gate["measured"])
        passed = "yes" if gate["passed"] else "no"
        lines.append(f"| {gate['variant']} | {gate['name']} | {limit} | {measured} | {passed} | {meaning} |")
    return "\n".join(lines)


def _limits(manifest: Manifest) -> str:
    return "\n".join(
        [
            "## Limits",
            "",
            f"- Frames of another size than {manifest.input.height_px} x {manifest.input.width_px} must be resized, "
            "bilinear without antialiasing, as for the numbers above.",
            "- Quality holds for images like those of the data named above; nothing was measured on others.",
            "- Speed holds for the machine and runtime named above; measure again on yours with `segkd bench`.",
        ]
    )
