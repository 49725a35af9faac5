"""Tables of results for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, the first to the left and the others to the right, two spaces between."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def format_gates(gates: Sequence[Mapping[str, Any]]) -> str:
    """The table gate, limit, measured, passed; gates of more than one variant carry its name."""
    rows = [
        (
            f"{gate['variant']} {gate['name']}" if "variant" in gate else gate["name"],
            format_number(gate["limit"]),
            format_number(gate["measured"]),
            "yes" if gate["passed"] else "NO",
        )
        for gate in gates
    ]
    return format_table(("gate", "limit", "measured", "passed"), rows)


def format_number(value: Any) -> str:
    """Six significant digits for a float, ``yes`` or ``no``, ``-`` for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
