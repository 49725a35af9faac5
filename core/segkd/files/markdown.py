"""Text of users inside Markdown: names that hold markup stay names, in one line."""

from __future__ import annotations

from typing import Any

from segkd.files.small_files import one_line

# Character references instead of backslashes: they mean the same inside tables, HTML and every dialect.
_REFERENCES = str.maketrans({char: f"&#{ord(char)};" for char in "<>[]`*|\\"} | {"&": "&amp;"})


def escape_markdown(text: str) -> str:
    """Any text as plain text of one line: no tag, link, heading, code or table cell can begin in it."""
    return one_line(text, 2000).translate(_REFERENCES)


def escape_all(value: Any) -> Any:
    """A copy of plain values with every text in them escaped, keys too."""
    if isinstance(value, str):
        return escape_markdown(value)
    if isinstance(value, dict):
        return {escape_all(key): escape_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [escape_all(item) for item in value]
    return value
