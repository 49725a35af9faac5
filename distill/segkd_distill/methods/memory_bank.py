"""Memory banks: per class, a ring of the teacher's recent embeddings (CIRKD)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd_distill.methods.gather import gather_rows


@dataclass(frozen=True)
class Embeddings:
    """What is to be stored, group by group; a group is what one image has of one class.

    Attributes:
        vectors: (n, d) of length 1, the groups one after the other.
        groups: (g, 2) int64: class and number of vectors.
    """

    vectors: Tensor
    groups: Tensor


class MemoryBank(nn.Module):
    """Rings of embeddings, one per class, that start as random directions.

    A group that reaches the end of its ring goes to the ring's last slots, and the next one to its beginning, as in
    winycg/CIRKD ``losses/cirkd_memory.py`` at dab64db.

    Args:
        num_classes: rings.
        size: slots of a ring.
        channels: width of an embedding.

    Attributes:
        keys: (classes, slots, channels), buffer, rows of length 1.
        next_slot: (classes,) int64, buffer: where the next group of a class begins.
    """

    keys: Tensor
    next_slot: Tensor

    def __init__(self, num_classes: int, size: int, channels: int) -> None:
        super().__init__()
        keys = torch.randn(num_classes, size, channels)
        keys /= keys.norm(dim=2, keepdim=True)  # in place: a bank can be as large as the GPU allows
        self.register_buffer("keys", keys)
        self.register_buffer("next_slot", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, embeddings: Embeddings) -> None:
        """Store the embeddings of all processes, in the order of the ranks.

        Every process of a distributed run must call it equally often, and then holds the same bank.
        """
        vectors, groups = gather_rows(embeddings.vectors), gather_rows(embeddings.groups)
        size = self.keys.shape[1]
        slots = self.next_slot.tolist()
        row, row_of_slot = 0, {}  # a later group overwrites an earlier one
        for label, count in groups.tolist():
            kept = min(count, size)
            start = min(slots[label], size - kept)
            for offset in range(kept):
                row_of_slot[label * size + start + offset] = row + offset
            slots[label] = (start + kept) % size
            row += count
        if row_of_slot:
            target = torch.tensor(list(row_of_slot), device=self.keys.device)
            source = torch.tensor(list(row_of_slot.values()), device=vectors.device)
            self.keys.view(-1, self.keys.shape[2])[target] = vectors[source].to(self.keys.dtype)
            self.next_slot.copy_(torch.tensor(slots))

    def sample(self, count: int) -> Tensor:
        """(classes * n, channels): the same n random slots of every ring, n = ``count`` or all there are."""
        slots = torch.randperm(self.keys.shape[1])[:count]
        return self.keys[:, slots.to(self.keys.device)].flatten(0, 1)


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Embeddings:
    """The mean embedding of each class in each image, of length 1.

    Args:
        features: (N, h, w, d), each pixel of length 1.
        labels: (N, h, w) int64; what is not in 0..num_classes-1 is left out.
        num_classes: number of classes.

    Returns:
        Groups of one vector, image by image and by ascending class.
    """
    one_hot = labels[:, None] == torch.arange(num_classes, device=labels.device).view(1, -1, 1, 1)
    member = one_hot.flatten(2).to(features.dtype)
    with torch.autocast(features.device.type, enabled=False):
        sums = member @ features.flatten(1, 2)
    counts = member.sum(2)
    means = F.normalize(sums[counts > 0] / counts[counts > 0][:, None], dim=1)
    classes = (counts > 0).nonzero()[:, 1]
    return Embeddings(means, torch.stack([classes, torch.ones_like(classes)], 1))


def class_pixels(
    features: Tensor, labels: Tensor, num_classes: int, *, count: int, legacy_positions: bool = False
) -> Embeddings:
    """Up to ``count`` random pixels of each class in each image.

    Args:
        features: (N, h, w, d), each pixel of length 1.
        labels: (N, h, w) int64; what is not in 0..num_classes-1 is left out.
        num_classes: number of classes.
        count: pixels per image and class.
        legacy_positions: where a class has n pixels, take random ones of the image's first n pixels, whatever their
            class, as winycg/CIRKD does.

    Returns:
        One group per image and class that is there, image by image and by ascending class.
    """
    pixels, groups = [], []
    for image, row in enumerate(labels.flatten(1).cpu()):  # indices come from the CPU's generator
        for label in row.unique().tolist():
            if not 0 <= label < num_classes:
                continue
            of_class = (row == label).nonzero()[:, 0]
            chosen = torch.randperm(len(of_class))[:count]
            pixels.append(image * len(row) + (chosen if legacy_positions else of_class[chosen]))
            groups.append((label, len(chosen)))
    index = torch.cat([*pixels, torch.empty(0, dtype=torch.int64)]).to(features.device)
    vectors = features.flatten(0, 2)[index]
    return Embeddings(vectors, torch.tensor(groups, dtype=torch.int64, device=features.device).view(-1, 2))
