from __future__ import annotations

from segkd.table import format_gates, format_number, format_table


def test_columns_are_aligned() -> None:
    table = format_table(("name", "n"), [("a", "10"), ("longer", "7")])
    assert table == "name     n\na       10\nlonger   7"


def test_numbers() -> None:
    values = [0.99990001, 12.3456789, 7, True, False, None]
    assert [format_number(value) for value in values] == ["0.9999", "12.3457", "7", "yes", "no", "-"]


def test_gates() -> None:
    gates = [
        {"variant": "fp32", "name": "agreement", "limit": 0.9999, "measured": 0.5, "passed": False},
        {"name": "size_mb", "limit": 5.0, "measured": 1.0, "passed": True},
    ]
    assert format_gates(gates).splitlines() == [
        "gate             limit  measured  passed",
        "fp32 agreement  0.9999       0.5      NO",
        "size_mb              5         1     yes",
    ]
