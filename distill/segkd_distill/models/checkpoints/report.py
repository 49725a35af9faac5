"""What fits of a checkpoint's tensors, and what does not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from segkd_distill.models.checkpoints.formats.base import Normalisation

CLASSIFIER = re.compile(r"conv_seg\.(weight|bias)$")


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file.

    Attributes:
        matched: names that were loaded.
        missing: parameters and buffers of the network that the file lacks; they keep their value.
        unexpected: tensors of the file that the network lacks.
        mismatched: names whose shapes differ; the network keeps its value.
        format: the file's format.
        notes: what a user should know, one sentence each.
        normalisation: what the network's mean and std were set to; None if they were left alone.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    format: str = "segkd"
    notes: tuple[str, ...] = ()
    normalisation: Normalisation | None = None

    def summary(self) -> str:
        """One line."""
        parts = [f"{len(self.matched)} tensors loaded ({self.format})"]
        for what, names in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", self.mismatched),
        ):
            if names:
                parts.append(f"{len(names)} {what} ({some(names)})")
        if self.normalisation is not None:
            parts.append(f"images are normalised as for these weights: {self.normalisation.describe()}")
        return "; ".join([*parts, *self.notes])


def compare(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> LoadReport:
    """How the tensors of a file fit those of a network; loads nothing, and a network on the meta device will do."""
    common = [name for name in own if name in tensors]
    return LoadReport(
        tuple(name for name in common if own[name].shape == tensors[name].shape),
        tuple(name for name in own if name not in tensors and not name.endswith("num_batches_tracked")),
        tuple(name for name in tensors if name not in own),
        tuple(name for name in common if own[name].shape != tensors[name].shape),
    )


def some(names: Iterable[str]) -> str:
    """The first three names."""
    listed = list(names)
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
