from __future__ import annotations

import time

import pytest

from segkd_distill.run import progress
from segkd_distill.run.progress import ProgressReport, clock


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


def test_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Clock(monkeypatch)
    with ProgressReport("train", 100, start=10, images_per_step=8) as report:
        assert report.images_per_s is None and report.eta_s is None and report.status() == ""
        for step in range(11, 21):
            now.now += 0.5
            report.advance(step)
        assert report.images_per_s == pytest.approx(16) and report.eta_s == pytest.approx(40)
        report.note = "loss 1.5"
        assert report.status() == "loss 1.5  16.0 img/s  ETA 0:00:40"


def test_other_work_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Clock(monkeypatch)
    with ProgressReport("train", 10) as report:
        now.now += 1
        report.advance(1)
        now.now += 100
        report.pause()
        now.now += 1
        report.advance(2)
        assert report.eta_s == pytest.approx(8)


def test_without_a_terminal_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = Clock(monkeypatch)
    with ProgressReport("train", 100) as report:
        for step in range(1, 26):
            now.now += 1
            report.advance(step)
        report.say("half way")
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 3 and lines[0].startswith("train 10/100") and lines[2] == "half way"
    assert progress.LINE_EVERY_S == 10


def test_clock() -> None:
    assert [clock(s) for s in (0, 59.6, 3725)] == ["0:00:00", "0:01:00", "1:02:05"]
