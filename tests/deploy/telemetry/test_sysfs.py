from __future__ import annotations

from pathlib import Path

from segkd_deploy.telemetry.sysfs import matching, read_number, read_text, under


def test_text_is_stripped_and_missing_or_refused_is_none(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"tj-thermal\n")
    (tmp_path / "model").write_bytes(b"Board\0")
    (tmp_path / "empty").write_bytes(b"\n")
    assert read_text(tmp_path / "name") == "tj-thermal"
    assert read_text(tmp_path / "model") == "Board"
    assert read_text(tmp_path / "empty") is None
    assert read_text(tmp_path / "missing") is None
    assert read_text(tmp_path) is None  # opens, but does not read: as a sensor that is off


def test_number_is_the_first_word(tmp_path: Path) -> None:
    (tmp_path / "limit").write_text("32760 ma\n")
    (tmp_path / "word").write_text("off\n")
    assert read_number(tmp_path / "limit") == 32760
    assert read_number(tmp_path / "word") is None
    assert read_number(tmp_path / "missing") is None


def test_matching_sorts_numbers_by_value(tmp_path: Path) -> None:
    for name in ("policy10", "policy4", "policy0"):
        under(tmp_path, f"/sys/cpufreq/{name}").mkdir(parents=True)
    assert [path.name for path in matching(tmp_path, "/sys/cpufreq/policy*")] == ["policy0", "policy4", "policy10"]
    assert matching(tmp_path / "missing", "/sys/*") == []
