"""More variants in an artifact of ``tests.deploy.artifacts``: copies of its graph under other names and precisions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from segkd.files import sha256_file


def add_variant(folder: Path, name: str, precision: str, *, activations: str | None = None) -> None:
    """Add a variant whose graph is the first one's, padded so that its hash differs."""

    def change(manifest: dict[str, Any]) -> None:
        target = folder / f"model.{name}.onnx"
        shutil.copyfile(folder / "model.fp32.onnx", target)
        with target.open("ab") as file:
            file.write(b"\x72" + bytes([len(name) + 4]) + b"\x0a\x01a\x12" + bytes([len(name) - 1]) + name[1:].encode())
        sha = sha256_file(target)
        part = {"file": target.name, "precision": precision, "opset": 18, "sha256": sha}
        manifest["variants"][name] = {**part, "bytes": target.stat().st_size, "activations": activations}
        manifest["files"][target.name] = sha

    edit_manifest(folder, change)


def edit_manifest(folder: Path, change: Any) -> None:
    """Let a function change the manifest's content in place."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def write_parity(folder: Path, **passed: bool) -> None:
    """A fresh ``parity.json`` that says only which variants passed."""
    manifest = json.loads((folder / "manifest.json").read_text())
    variants = {
        name: {
            "sha256": manifest["variants"][name]["sha256"],
            "gates": [{"name": "agreement", "passed": held}],
            "miou": {"graph": 0.5},
        }
        for name, held in passed.items()
    }
    artifact = {"manifest_sha256": sha256_file(folder / "manifest.json")}
    (folder / "parity.json").write_text(json.dumps({"schema": 1, "artifact": artifact, "variants": variants}))
