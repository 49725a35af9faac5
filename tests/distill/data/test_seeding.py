from __future__ import annotations

from segkd_distill.data.seeding import Stream, generator


def test_same_place_gives_the_same_numbers() -> None:
    assert generator(1, Stream.GEOMETRY, 7, 2).random() == generator(1, Stream.GEOMETRY, 7, 2).random()


def test_seed_purpose_and_place_all_matter() -> None:
    places = [
        generator(1, Stream.GEOMETRY, 7, 2),
        generator(2, Stream.GEOMETRY, 7, 2),
        generator(1, Stream.COLOUR, 7, 2),
        generator(1, Stream.GEOMETRY, 8, 2),
        generator(1, Stream.GEOMETRY, 7, 3),
    ]
    assert len({rng.random() for rng in places}) == len(places)
