"""What may not be compared, and that both sides are named."""

from __future__ import annotations

from dataclasses import replace

from segkd_deploy.compare.conflicts import bases_of, basis_of, conditions_of, find_conflicts
from segkd_deploy.compare.entry import Accuracy, Condition, Entry, Measured

DESK = Condition("desk", None, None, "single_stream", 1, True)
ORIN = Condition("Orin", "15W 0", True, "single_stream", 4, False)


def measured(condition: Condition = DESK, invalid: tuple[str, ...] = ()) -> Measured:
    return Measured(condition, "ort", 1.0, 2.0, 1000.0, None, None, None, invalid, "bench.json")


def entry(name: str, *, kind: str = "variant", fingerprint: str = "aaaa", **changes: object) -> Entry:
    accuracy = Accuracy(0.5, "data set", fingerprint, "cityscapes:/d", 500)
    return replace(
        Entry(name, "variant", f"/{name}", (64, 128), ("road", "sky"), accuracy=accuracy), kind=kind, **changes
    )  # type: ignore[arg-type]


def texts(*entries: Entry) -> list[str]:
    return [conflict.text for conflict in find_conflicts(entries)]


def test_equal_rows_have_none() -> None:
    assert texts(entry("a"), entry("b"), entry("c", accuracy=None, size_px=None, classes=None)) == []


def test_other_data_name_both_sides_and_all_rows_of_the_other() -> None:
    conflicts = find_conflicts([entry("a"), entry("b", fingerprint="bbbb"), entry("c", fingerprint="bbbb")])
    assert [(conflict.kind, conflict.entries) for conflict in conflicts] == [("data", ("a", "b", "c"))]
    assert conflicts[0].text == (
        "data: a has the mIoU of 500 images of cityscapes:/d (fingerprint aaaa), b has the mIoU of 500 images of "
        "cityscapes:/d (fingerprint bbbb) (and c); score both on the same data"
    )


def test_reference_frames_are_other_data_and_the_command_is_said() -> None:
    frames = entry("b", accuracy=Accuracy(0.5, "reference frames", "aaaa", images=8))
    (text,) = texts(entry("a"), frames)
    assert "b has the mIoU of 8 reference frames (fingerprint aaaa)" in text
    assert text.endswith("; score b on it with `segkd validate /b --data cityscapes:/d`")
    assert texts(frames, entry("a"))[0].endswith("; score b on it with `segkd validate /b --data cityscapes:/d`")


def test_size_classes_and_protocol() -> None:
    assert texts(entry("a"), entry("b", size_px=(32, 64))) == [
        "size: a takes frames of 64x128, b takes frames of 32x64"
    ]
    # A run's size is what it was trained at, which says nothing of a graph's frames.
    assert texts(entry("a"), entry("b", kind="run", size_px=(32, 64))) == []
    runs = entry("a", kind="run"), entry("b", kind="run", size_px=(32, 64))
    assert texts(*runs) == ["size: a was trained at 64x128, b was trained at 32x64"]
    more = ("road", "sky", "car", "bus")
    assert texts(entry("a"), entry("b", classes=more)) == [
        "classes: a has 2 classes (road, sky), b has 4 classes (road, sky, car, ...)"
    ]
    scored = [
        entry(n, accuracy=Accuracy(0.5, "data set", "x", protocol=p)) for n, p in (("a", "mmseg"), ("b", "cirkd"))
    ]
    assert texts(*scored) == ["protocol: a was scored by mmseg, b was scored by cirkd"]


def test_invalid_rows_say_why() -> None:
    rows = entry("a", problems=("the run has not ended",)), entry("b", measured=measured(invalid=("it throttled",)))
    assert texts(*rows) == ["a must not be used: the run has not ended", "b must not be used: it throttled"]


def test_other_devices_are_marked_and_no_conflict() -> None:
    rows = [
        entry("a", measured=measured(DESK)),
        entry("b", measured=measured(ORIN)),
        entry("c", measured=measured(DESK)),
    ]
    assert texts(*rows) == []
    assert conditions_of(rows) == {DESK: "a", ORIN: "b"}
    assert DESK.words() == "desk, single_stream"
    assert ORIN.words() == "Orin, power mode 15W 0, clocks locked, single_stream, batch 4, without transfers"


def test_letters_go_on_after_z() -> None:
    rows = [entry(str(n), measured=measured(replace(DESK, device=str(n)))) for n in range(54)]
    letters = list(conditions_of(rows).values())
    assert (letters[0], letters[25], letters[26], letters[51], letters[52]) == ("a", "z", "aa", "az", "ba")


def test_bases_are_numbered() -> None:
    rows = [entry("a"), entry("b", fingerprint="bbbb"), entry("c"), entry("d", accuracy=None)]
    numbers = bases_of(rows)
    assert [numbers.get(basis_of(row)) for row in rows] == ["1", "2", "1", None]
