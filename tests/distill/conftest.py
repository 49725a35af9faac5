from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 training and 4 validation street scenes of 64x128, as a Cityscapes tree."""
    from segkd.data.street_scenes import write_tree

    out = tmp_path_factory.mktemp("streets") / "tree"
    write_tree(out, 20, 4, (64, 128), 5)
    return out
