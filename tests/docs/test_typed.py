"""README and docs/ are typed from the top, block by block, and everything in them works."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import pages, read_blocks
from tests.docs.reader import BusyMachine, Reader, own_things

TYPED = [page for page in pages() if any(block.not_run is None for block in read_blocks(page))]


@dataclass(frozen=True)
class Typed:
    """A folder in which README's blocks were typed, and what kept it from a release, if anything did."""

    folder: Path
    busy: str | None


@pytest.fixture(scope="module")
def readme(tmp_path_factory: pytest.TempPathFactory) -> Typed:
    """README first: the other pages go on where it ended."""
    folder = tmp_path_factory.mktemp("readme")
    own_things(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        try:
            type_page("README.md")
        except BusyMachine as busy:
            return Typed(folder, str(busy))
    return Typed(folder, None)


def type_page(page: str) -> None:
    reader = Reader()
    for block in read_blocks(page):
        reader.do(block)


@pytest.mark.long
@pytest.mark.parametrize("page", TYPED)
def test_a_page_typed_from_its_top(page: str, readme: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "README.md":
        if readme.busy is not None:
            pytest.skip(f"other work on this machine: {readme.busy}")
        assert list((readme.folder / "release").glob("*.tar.gz")), "the chain ends in a release"
        return
    if page == "docs/compare.md" and readme.busy is not None:
        pytest.skip(f"compare refuses measurements that are not valid: {readme.busy}")
    here = tmp_path / "here"
    shutil.copytree(readme.folder, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    try:
        type_page(page)
    except BusyMachine as busy:
        pytest.skip(f"other work on this machine: {busy}")
