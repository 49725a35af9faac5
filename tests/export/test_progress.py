from __future__ import annotations

from segkd_export.progress import with_progress


def test_a_line_every_ten_seconds_and_none_for_quick_work() -> None:
    said: list[str] = []
    seconds = iter([0.0, *(value for step in range(4, 40, 4) for value in (step, step))] + [99.0] * 9)
    assert list(with_progress(range(9), 9, "frames", said.append, clock=lambda: next(seconds))) == list(range(9))
    assert said and all(line.endswith("of 9 frames") for line in said) and len(said) < 8
    said.clear()
    assert list(with_progress("abc", 3, "letters", said.append, clock=lambda: 1.0)) == ["a", "b", "c"]
    assert said == []
