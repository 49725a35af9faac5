"""The server, and an ``ssh`` that trusts it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.targets.ssh_server import SshServer, ssh_server, why_not, write_client


@pytest.fixture(scope="session")
def started_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """One server for the whole session; CI must be able to start it."""
    reason = why_not()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI tests deployment over SSH: {reason}")
        pytest.skip(reason)
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def server(started_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """The server, trusted, and first on PATH the ``ssh`` that knows it; afterwards nothing of the user's runs."""
    started_server.trust()
    client = write_client(started_server, tmp_path / "client")
    monkeypatch.setenv("PATH", f"{client}{os.pathsep}{os.environ['PATH']}")
    yield started_server
    left = started_server.wait_until_idle()
    assert not left, f"orphans: {left}"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this machine keeps goes nowhere near the user's own."""
    monkeypatch.setenv("PIP_CACHE_DIR", os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("SEGKD_DEVICES", raising=False)


@pytest.fixture(autouse=True)
def _own_umask() -> Iterator[None]:
    """The agent makes its files private; served in this process, it must not make those of later tests so."""
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)
