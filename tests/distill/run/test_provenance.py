from __future__ import annotations

import re
import subprocess

import pytest

import segkd
from segkd_distill.run.provenance import git_state, versions


def test_versions_name_what_a_training_rests_on() -> None:
    found = versions()
    assert found["segkd"] == segkd.__version__ and {"python", "torch", "numpy", "albumentations"} <= set(found)


def test_git_state_is_a_commit_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    state = git_state()
    assert state is None or re.fullmatch(r"[0-9a-f]{40}", state["commit"])

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert git_state() is None
