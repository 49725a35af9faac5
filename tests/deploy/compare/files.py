"""The files of runs, artifacts and devices that a comparison reads, with numbers of one's choice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segkd.files import sha256_file

CLASSES = ("road", "sky")


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def make_run(
    folder: Path,
    *,
    miou: float = 0.5,
    fingerprint: str | None = "aaaa",
    imgsz: tuple[int, int] = (64, 128),
    classes: tuple[str, ...] = CLASSES,
    finished: bool = True,
    protocol: str = "mmseg",
    weights_bytes: int = 1000,
) -> Path:
    """A run folder of ``segkd train``."""
    record = {
        "schema": 1,
        "finished": finished,
        "params": 1_500_000,
        "data": {"val": "cityscapes:/data", "fingerprints": {"val": fingerprint}},
        "eval": {"miou": miou},
    }
    write(folder / "run.json", record)
    labels = {"names": list(classes), "palette": [[0, 0, 0]] * len(classes), "ignore": 255}
    write(folder / "model.json", {"imgsz": list(imgsz), "label_space": labels})
    (folder / "recipe.yaml").write_text(f"eval: {{protocol: {protocol}, mode: whole}}\n")
    (folder / "student.safetensors").write_bytes(b"w" * weights_bytes)
    return folder


def make_artifact(
    folder: Path,
    variants: dict[str, float | None],
    *,
    size: tuple[int, int] = (64, 128),
    classes: tuple[str, ...] = CLASSES,
    truth: str = "truth",
    whole_set: str | None = None,
) -> Path:
    """An artifact folder: graphs that are only bytes, and ``parity.json`` with the mIoU of each variant that has one.

    Args:
        folder: its name is part of the graphs.
        variants: name -> mIoU.
        size: of the frames.
        classes: their names.
        truth: content of the reference's truth.
        whole_set: fingerprint of a whole data set that the variants were scored on as well, with 0.1 less.
    """
    for name in variants:
        write(folder / f"model.{name}.onnx", [folder.name, name])
    write(folder / "reference" / "frames.npy", "frames")
    write(folder / "reference" / "truth.npy", truth)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    hashes = {name: sha256_file(folder / name) for name in names}
    height_px, width_px = size
    parts = {
        name: {
            "file": f"model.{name}.onnx",
            "precision": name.partition("-")[0],
            "opset": 18,
            "sha256": hashes[f"model.{name}.onnx"],
            "bytes": 2_000_000,
        }
        for name in variants
    }
    manifest = {
        "schema": 1,
        "created": "2026-01-02T03:04:05+00:00",
        "segkd_version": "0.1.0",
        "source": {"run": "run", "model": "m", "weights_sha256": "0" * 64},
        "label_space": {"names": list(classes), "palette": [[0, 0, 0]] * len(classes)},
        "input": {"name": "frames", "height_px": height_px, "width_px": width_px},
        "outputs": {"labels": {"name": "labels", "shape": [1, height_px, width_px]}},
        "normalisation": {"mean": [0, 0, 0], "std": [1, 1, 1]},
        "variants": parts,
        "reference": {"count": 4, "files": {"frames": "reference/frames.npy", "truth": "reference/truth.npy"}},
        "files": hashes,
    }
    write(folder / "manifest.json", manifest)
    scored = {name: miou for name, miou in variants.items() if miou is not None}
    if scored:
        write(folder / "parity.json", parity(folder, scored, whole_set))
    return folder


def parity(artifact: Path, mious: dict[str, float], whole_set: str | None = None) -> dict[str, Any]:
    """What ``segkd validate`` says of an artifact."""
    shas = {name: sha256_file(artifact / f"model.{name}.onnx") for name in mious}
    return {
        "schema": 1,
        "artifact": {"manifest_sha256": sha256_file(artifact / "manifest.json")},
        "variants": {
            name: {
                "sha256": shas[name],
                "frames": 4,
                "miou": {"graph": miou},
                "gates": [{"name": "agreement", "passed": True}],
                "runtime": {"name": "onnxruntime", "version": "1.31", "provider": "CPUExecutionProvider"},
                "whole_set": None
                if whole_set is None
                else {"miou": miou - 0.1, "fingerprint": whole_set, "data": "cityscapes:/data", "images": 500},
            }
            for name, miou in mious.items()
        },
    }


def bench(artifact: Path, variant: str, *, p50_ms: float = 10.0, **changes: Any) -> dict[str, Any]:
    """What ``segkd bench`` says of a variant; ``changes`` replace sections or keys in them."""
    content: dict[str, Any] = {
        "schema": 1,
        "artifact": {
            "variant": variant,
            "sha256": sha256_file(artifact / f"model.{variant}.onnx"),
            "manifest_sha256": sha256_file(artifact / "manifest.json"),
            "bytes": 2_000_000,
            "precision": variant.partition("-")[0],
        },
        "runtime": {"name": "onnxruntime", "version": "1.31", "provider": "CPUExecutionProvider", "threads": 2},
        "device": {"model": "desk", "nvpmodel": None, "clocks_locked": None},
        "method": {"scenario": "single_stream", "batch": 1, "includes_transfers": True},
        "latency_ms": {"p50": p50_ms, "p99": 2 * p50_ms},
        "throughput_fps": 1e3 / p50_ms,
        "memory": {"rss_peak": 70_000_000},
        "power": {"energy_mj_per_frame": None, "net_energy_mj_per_frame": None},
        "valid": True,
        "invalid_reasons": [],
    }
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return content
