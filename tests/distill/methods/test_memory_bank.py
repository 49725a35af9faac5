from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segkd_distill.methods.memory_bank import Embeddings, MemoryBank, class_means, class_pixels


def numbered(first: int, groups: list[tuple[int, int]]) -> Embeddings:
    """Vectors of one component that count up from ``first``."""
    total = sum(count for _, count in groups)
    vectors = torch.arange(first, first + total, dtype=torch.float32)[:, None]
    return Embeddings(vectors, torch.tensor(groups, dtype=torch.int64).view(-1, 2))


def bank(size: int = 5, num_classes: int = 2) -> MemoryBank:
    made = MemoryBank(num_classes, size, 1)
    made.keys.zero_()
    return made


def contents(made: MemoryBank) -> list[list[float]]:
    rows: list[list[float]] = made.keys[..., 0].tolist()
    return rows


@pytest.fixture
def features() -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(2, 4, 4, 3, generator=rng, dtype=torch.float64), dim=-1)


@pytest.fixture
def labels() -> Tensor:
    made = torch.full((2, 4, 4), -1)
    made[0, 1:3] = 2
    made[0, 3, 1:] = 0
    made[1, 2, 2] = 1
    return made


def test_starts_as_random_directions() -> None:
    made = MemoryBank(3, 4, 6)
    torch.testing.assert_close(made.keys.norm(dim=2), torch.ones(3, 4))
    assert made.next_slot.tolist() == [0, 0, 0]
    assert sorted(made.state_dict()) == ["keys", "next_slot"] and not list(made.parameters())


def test_single_vectors_go_round() -> None:
    made = bank(size=3)
    made.enqueue(numbered(1, [(0, 1), (1, 1), (0, 1)]))
    assert contents(made) == [[1, 3, 0], [2, 0, 0]] and made.next_slot.tolist() == [2, 1]
    made.enqueue(numbered(4, [(0, 1), (0, 1)]))
    assert contents(made) == [[5, 3, 4], [2, 0, 0]] and made.next_slot.tolist() == [1, 1]


def test_group_at_the_end_takes_the_last_slots() -> None:
    made = bank()
    made.enqueue(numbered(1, [(1, 3)]))
    assert contents(made)[1] == [1, 2, 3, 0, 0] and made.next_slot.tolist() == [0, 3]
    made.enqueue(numbered(4, [(1, 3)]))
    assert contents(made)[1] == [1, 2, 4, 5, 6] and made.next_slot.tolist() == [0, 0]
    made.enqueue(numbered(7, [(1, 2), (1, 3), (1, 1)]))
    assert contents(made)[1] == [12, 8, 9, 10, 11] and made.next_slot.tolist() == [0, 1]
    assert contents(made)[0] == [0] * 5


def test_group_larger_than_the_ring_and_no_group() -> None:
    made = bank(size=2)
    made.enqueue(numbered(1, [(0, 3), (1, 1)]))
    assert contents(made) == [[1, 2], [4, 0]] and made.next_slot.tolist() == [0, 1]
    made.enqueue(numbered(1, []))
    assert contents(made) == [[1, 2], [4, 0]] and made.next_slot.tolist() == [0, 1]


def test_sample_takes_the_same_slots_of_every_class() -> None:
    made = bank(size=4, num_classes=3)
    made.keys.copy_(torch.arange(12.0).view(3, 4, 1))
    torch.manual_seed(0)
    keys = made.sample(2)
    assert keys.shape == (6, 1)
    first, second, third = keys.view(3, 2).tolist()
    assert len(set(first)) == 2 and second == [x + 4 for x in first] and third == [x + 8 for x in first]
    torch.manual_seed(0)
    assert torch.equal(made.sample(2), keys) and not torch.equal(made.sample(2), keys)
    assert sorted(made.sample(99)[:, 0].tolist()) == list(range(12))


def test_class_means(features: Tensor, labels: Tensor) -> None:
    found = class_means(features, labels, 3)
    assert found.groups.tolist() == [[0, 1], [2, 1], [1, 1]]
    expected = [features[0, 3, 1:].mean(0), features[0, 1:3].flatten(0, 1).mean(0), features[1, 2, 2]]
    torch.testing.assert_close(found.vectors, F.normalize(torch.stack(expected), dim=1))


def test_class_pixels(features: Tensor, labels: Tensor) -> None:
    found = class_pixels(features, labels, 3, count=5)
    assert found.groups.tolist() == [[0, 3], [2, 5], [1, 1]]
    pixels = {
        tuple(p.tolist()): labels[i].flatten()[k] for i in (0, 1) for k, p in enumerate(features[i].flatten(0, 1))
    }
    classes = [int(pixels[tuple(vector.tolist())]) for vector in found.vectors]
    assert classes == [0] * 3 + [2] * 5 + [1]
    assert len({tuple(v.tolist()) for v in found.vectors}) == 9


def test_legacy_positions(features: Tensor, labels: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randperm", torch.arange)
    found = class_pixels(features, labels, 3, count=5, legacy_positions=True)
    assert found.groups.tolist() == [[0, 3], [2, 5], [1, 1]]
    first, second = (features[i].flatten(0, 1) for i in (0, 1))
    assert torch.equal(found.vectors, torch.cat([first[:3], first[:5], second[:1]]))


def test_nothing_labelled(features: Tensor) -> None:
    for found in (
        class_means(features, torch.full((2, 4, 4), -1), 3),
        class_pixels(features, torch.full((2, 4, 4), 255), 3, count=5),
    ):
        assert found.vectors.shape == (0, 3) and found.groups.shape == (0, 2) and found.groups.dtype == torch.int64
