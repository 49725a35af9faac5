from __future__ import annotations

import pytest

from segkd.errors import SegkdError
from segkd_distill.models.teachers.class_map import ClassMap, map_classes

DATA = ("road", "sky", "car")


def test_the_same_names_in_the_same_order_are_the_identity() -> None:
    found = map_classes(DATA, DATA)
    assert found.is_identity and found.groups == ((0,), (1,), (2,))
    twice = ("door", "door")
    assert map_classes(twice, twice).is_identity


def test_another_order_is_found_by_name() -> None:
    found = map_classes(("car", "road", "sky"), DATA)
    assert found.groups == ((1,), (2,), (0,)) and not found.is_identity and found.left_out == ()


def test_case_underscores_and_hyphens_do_not_matter() -> None:
    data = ("traffic light", "bed", "wall-wood")
    assert map_classes(("bed ", "Wall wood", "traffic_light"), data).groups == ((2,), (0,), (1,))


def test_merging_renaming_and_leaving_out() -> None:
    teacher = ("street", "parking", "sky", "car", "truck", "person", "rider")
    given = {"street": "road", "parking": "road", "truck": "car", "person": None, "rider": "ignore"}
    found = map_classes(teacher, DATA, given)
    assert found.groups == ((0, 1), (2,), (3, 4))
    assert found.left_out == ("person", "rider")
    assert found.table().splitlines() == [
        "classes of the data <- classes of the teacher",
        "  road  <- street + parking",
        "  sky   <- sky",
        "  car   <- car + truck",
        "  left out: person, rider",
    ]


def test_what_is_given_wins_over_the_name() -> None:
    assert map_classes(("road", "sky", "car", "cars"), DATA, {"car": None, "cars": "car"}).groups == ((0,), (1,), (3,))


def test_a_class_of_the_data_may_be_called_ignore() -> None:
    assert map_classes(("a", "b"), ("b", "ignore"), {"a": "ignore"}).groups == ((1,), (0,))


def test_two_channels_of_one_name_are_merged() -> None:
    assert map_classes(("car", "road", "car", "sky"), DATA).groups == ((1,), (3,), (0, 2))


@pytest.mark.parametrize(
    ("teacher", "given", "message"),
    [
        (
            ("road", "sky"),
            None,
            r"^teacher T has 2 classes, the data 3: the teacher has no car; say with teacher\.class",
        ),
        (("road", "sky", "car", "van"), None, "has 4 classes, the data 3: the data have no van; "),
        (("road", "cloud", "van"), None, "the data have no cloud, van; the teacher has no sky, car; "),
        (("road", "sky", "van"), {"van": None}, "the teacher has no car; "),
        (("road", "sky", "car"), {"sky": "road"}, "the teacher has no sky; "),
        (("road", "sky", "van"), {"vans": "car"}, r"teacher\.class_map: unknown class of the teacher 'vans'; .*'van'"),
        (("road", "sky", "van"), {"van": "cat"}, r"teacher\.class_map: van: unknown class of the data 'cat'; .*'car'"),
        (tuple("abcdefghij"), None, "the data have no a, b, c, d, e, f, g, h and 2 more; "),
    ],
)
def test_what_cannot_be_mapped_is_named(
    teacher: tuple[str, ...], given: dict[str, str | None] | None, message: str
) -> None:
    with pytest.raises(SegkdError, match=message):
        map_classes(teacher, DATA, given, called="T")


def test_data_with_two_classes_of_one_name_cannot_be_mapped_by_name() -> None:
    with pytest.raises(SegkdError, match="two classes called 'door'"):
        map_classes(("door", "wall"), ("door", "door"))


def test_a_reordered_merge_is_no_identity() -> None:
    assert not ClassMap(("a", "b"), ("a",), ((0, 1),)).is_identity
    assert not ClassMap(("a", "b"), ("a",), ((0,),)).is_identity
