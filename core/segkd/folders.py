"""The folders that the rooms hand to each other: what their files are called, and how each folder is recognised."""

from __future__ import annotations

from pathlib import Path


class RunFiles:
    """Names of the files of a run folder, which `segkd train` and `segkd distill` write."""

    RECIPE = "recipe.yaml"
    WEIGHTS = "student.safetensors"
    CARD = "model.json"
    RECORD = "run.json"
    METRICS = "metrics.jsonl"
    CHECKPOINT = "last.ckpt"
    TENSORBOARD = "tensorboard"


class ArtifactFiles:
    """Names of the files of an artifact folder, which `segkd export` writes and `validate` and `bench` add to."""

    MANIFEST = "manifest.json"
    REFERENCE = "reference"
    PARITY = "parity.json"
    BENCH = "bench.json"
    BENCH_GLOB = "bench*.json"


# A recipe alone makes no run: a folder of recipes may hold one of this name.
_RUN_MARKS = (RunFiles.CARD, RunFiles.RECORD, RunFiles.METRICS, RunFiles.WEIGHTS, RunFiles.CHECKPOINT)


def is_run(folder: Path) -> bool:
    """Whether a folder holds a training, from its first saved step on; its network may not be there yet."""
    return not is_artifact(folder) and any((folder / name).is_file() for name in _RUN_MARKS)


def is_artifact(folder: Path) -> bool:
    """Whether a folder holds an artifact, or the bundle of a release."""
    return (folder / ArtifactFiles.MANIFEST).is_file()
