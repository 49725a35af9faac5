"""``parity.json`` of several runs: what an earlier run said of other variants of the same export stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import read_json
from segkd_deploy.parity.steps import PRECISIONS

# One file speaks of one export, one machine and one set of versions: what differs, and its words.
_SAME = {
    "schema": "by another format of the file",
    "artifact": "of another export",
    "host": "on another machine",
    "versions": "by other versions",
}


def read_earlier(path: Path) -> dict[str, Any] | None:
    """What an earlier run wrote; None if there is nothing that ``with_earlier`` could keep."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except SegkdError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("variants"), dict):
        return None
    return content


def with_earlier(result: dict[str, Any], earlier: Mapping[str, Any] | None) -> tuple[dict[str, Any], str | None]:
    """A result and the variants of an earlier one that it does not speak of.

    Args:
        result: content of ``parity.json``, of this run.
        earlier: of an earlier run.

    Returns:
        The content for the file, and a sentence for people: what was kept, or what is no longer there and why; None
        if this run speaks of all variants of the earlier one.
    """
    left = [] if earlier is None else [name for name in earlier["variants"] if name not in result["variants"]]
    if earlier is None or not left:
        return result, None
    names = ", ".join(left)
    for key, words in _SAME.items():
        if _compared(earlier, key) != _compared(result, key):
            return result, f"{names}: no longer in the file: validated {words}; run segkd validate for all variants"
    try:
        return _merged(result, earlier, left), f"{names}: kept from the run of {earlier['created']}"
    except (KeyError, TypeError, ValueError):
        return result, f"{names}: no longer in the file, which was damaged; run segkd validate for all variants"


def _compared(content: Mapping[str, Any], key: str) -> Any:
    part = content.get(key)
    # A folder may have another name than before.
    return part.get("manifest_sha256") if key == "artifact" and isinstance(part, dict) else part


def _merged(result: dict[str, Any], earlier: Mapping[str, Any], left: list[str]) -> dict[str, Any]:
    both = {**result["variants"], **{name: earlier["variants"][name] for name in left}}
    names = sorted(both, key=lambda name: (PRECISIONS.index(both[name]["precision"]), name))
    rows = {row["step"]: row for row in (*earlier["chain"], *result["chain"])}
    networks = [row for row in result["chain"] if row["step"] not in both]
    return {
        **result,
        "agreement": min(part["agreement"] for part in both.values()),
        "passed": all(gate["passed"] for part in both.values() for gate in part["gates"]),
        "chain": [*networks, *(rows[name] for name in names)],
        "notes": list(dict.fromkeys([*earlier["notes"], *result["notes"]])),
        "variants": {name: both[name] for name in names},
    }
