"""README and docs/ are typed from the top, block by block, and everything in them works."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from segkd_deploy.bench.settings import PRESETS
from tests.docs.pages import pages, read_blocks
from tests.docs.reader import Reader, own_things
from tests.quiet_machine import be_quiet

TYPED = [page for page in pages() if any(block.not_run is None for block in read_blocks(page))]


@pytest.fixture(scope="module", autouse=True)
def quick_on_a_quiet_machine() -> Iterator[None]:
    """`segkd bench` as a reader types it, in two seconds instead of thirty, and never disturbed."""
    quick = dataclasses.replace(PRESETS["quick"], duration_s=2.0, settle_s=0.0, cold_starts=1)
    with pytest.MonkeyPatch.context() as patch:
        be_quiet(patch)
        patch.setitem(PRESETS, "quick", quick)
        yield


@pytest.fixture(scope="module")
def readme(quick_on_a_quiet_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which README's blocks were typed first: the other pages go on where it ended."""
    folder = tmp_path_factory.mktemp("readme")
    own_things(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        type_page("README.md")
    return folder


def type_page(page: str) -> None:
    reader = Reader()
    for block in read_blocks(page):
        reader.do(block)


@pytest.mark.long
@pytest.mark.parametrize("page", TYPED)
def test_a_page_typed_from_its_top(page: str, readme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "README.md":
        assert list((readme / "release").glob("*.tar.gz")), "the chain ends in a release"
        return
    here = tmp_path / "here"
    shutil.copytree(readme, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    type_page(page)
