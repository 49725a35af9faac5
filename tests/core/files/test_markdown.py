from __future__ import annotations

import pytest

from segkd.files.markdown import escape_all, escape_markdown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("road", "road"),
        ("Straßenbahn, 1_a", "Straßenbahn, 1_a"),
        ("<script>alert(1)</script>", "&#60;script&#62;alert(1)&#60;/script&#62;"),
        ("a\n# b", "a&#92;n# b"),
        ("[x](javascript:1)", "&#91;x&#93;(javascript:1)"),
        ("a | `b` & *c*", "a &#124; &#96;b&#96; &amp; &#42;c&#42;"),
    ],
)
def test_text_stays_text(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_values_of_all_kinds() -> None:
    assert escape_all({"<": ["a|", 1, None, {"b": ("*",)}]}) == {"&#60;": ["a&#124;", 1, None, {"b": ["&#42;"]}]}
