"""What a checkpoint format is: how its names are recognised, and what they are called here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from segkd_distill.models.config import IMAGENET_MEAN, IMAGENET_STD

Tensors = Mapping[str, Tensor]


class Normalisation(NamedTuple):
    """How an image in RGB 0..255 is normalised: (image - mean) / std.

    Attributes:
        mean: RGB mean in 0..255.
        std: RGB deviation in 0..255.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def describe(self) -> str:
        """In one phrase."""
        mean, std = (" ".join(f"{value:g}" for value in values) for values in self)
        return f"RGB mean {mean}, deviation {std}"


# What torchvision, timm and open-mmlab train their classifiers with.
IMAGENET = Normalisation(IMAGENET_MEAN, IMAGENET_STD)


@dataclass(frozen=True)
class Translation:
    """Tensors under this project's names.

    Attributes:
        tensors: name -> tensor; a bare backbone's names begin with ``backbone.`` too. What no rule knows keeps its
            name.
        dropped: names in the file of what is no part of a network here (an ImageNet classifier, CBAM, ...).
        notes: what a user should know, one sentence each.
        normalisation: what the weights were trained with, where the format settles it; else None.
    """

    tensors: dict[str, Tensor]
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    normalisation: Normalisation | None = None


@dataclass(frozen=True)
class Format:
    """A way of naming a network's tensors.

    Attributes:
        name: what reports call it.
        matches: whether tensors (common prefixes taken off) are named so.
        translate: rename them.
    """

    name: str
    matches: Callable[[Tensors], bool]
    translate: Callable[[Tensors], Translation]


@dataclass(frozen=True)
class Rules:
    """Renaming by whole-name patterns; the first that fits counts.

    Attributes:
        rename: (pattern, replacement) as of :func:`re.sub`.
        drop: patterns of names to leave out.
        normalisation: what the weights were trained with, where the format settles it.
    """

    rename: Sequence[tuple[str, str]]
    drop: Sequence[str] = ()
    normalisation: Normalisation | None = None

    def apply(self, names: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """(name in the file -> name here, names left out); what no pattern fits keeps its name."""
        kept: dict[str, str] = {}
        dropped = []
        for name in names:
            if any(re.fullmatch(pattern, name) for pattern in self.drop):
                dropped.append(name)
                continue
            found = (re.sub(pattern, new, name, count=1) for pattern, new in self.rename if re.fullmatch(pattern, name))
            kept[name] = next(found, name)
        return kept, tuple(dropped)

    def translate(self, tensors: Tensors) -> Translation:
        """Rename tensors."""
        kept, dropped = self.apply(tensors)
        renamed = {new: tensors[name] for name, new in kept.items()}
        return Translation(renamed, dropped, normalisation=self.normalisation)


def has(tensors: Tensors, *patterns: str) -> bool:
    """Whether every pattern fits the beginning of some name."""
    return all(any(re.match(pattern, name) for name in tensors) for pattern in patterns)
