"""What README, CONTRIBUTING and docs/ name exists: files of the repository, pages, headings. Source lines are short."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, pages

PAGES = ["CONTRIBUTING.md", *pages()]
LINE_LENGTH = 120
ROOMS = r"(?:core|distill|export|deploy|tests|benchmarks|examples|docker)"
PATH = re.compile(rf"(?<![\w./-]){ROOMS}/[\w./-]*\w(?:\.\w+)?(?![\w*{{])")
PLACEHOLDER = re.compile(r"NAME|NNNN")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(text: str) -> list[str]:
    """The lines that are neither in a fenced block nor in a table."""
    parts = re.split(r"^```.*?^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [line for part in parts for line in part.splitlines() if not line.startswith("|")]


def named_paths(text: str) -> set[str]:
    """Paths below a room; of ``core/x/NAME.py`` its folder."""
    return {
        path[: place.start()].rpartition("/")[0] if (place := PLACEHOLDER.search(path)) else path
        for path in PATH.findall(text)
    }


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_paths_that_a_page_names_exist(page: str) -> None:
    assert {path for path in named_paths(read(page)) if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    here = (ROOT / page).parent
    for target in LINK.findall(read(page)):
        if re.match(r"\w+:", target):
            continue
        file, _, name = target.partition("#")
        path = here / file if file else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if name:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert name in {anchor(heading) for heading in headings}, f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_source_lines_are_short(page: str) -> None:
    assert [line for line in prose(read(page)) if len(line) > LINE_LENGTH] == []


def test_paths_are_found_and_folders_of_placeholders() -> None:
    text = "`core/segkd/cli.py`, (tests/golden) at distill/x/NAME.py; https://host/core/other.py, my/core/a.py deploy/."
    assert named_paths(text) == {"core/segkd/cli.py", "tests/golden", "distill/x"}
    assert anchor("What was run, and what was not") == "what-was-run-and-what-was-not"
    assert prose("a\n```\nb\n```\n| c |\nd") == ["a", "", "d"]
