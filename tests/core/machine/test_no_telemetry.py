"""No library that segkd imports calls home: a listening proxy hears nothing, and no identifier is left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from segkd.machine.no_telemetry import SWITCHES, switch_off

# onnxruntime writes its identifier as soon as it is imported; albumentations asks the network then.
_PROGRAM = """
import importlib, sys
import segkd
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_what_the_user_set_stays() -> None:
    environment = {"ORT_DISABLE_TELEMETRY": "0"}
    switch_off(environment)
    assert environment == {**SWITCHES, "ORT_DISABLE_TELEMETRY": "0"}


@pytest.mark.parametrize("room", ["segkd", "segkd_deploy.runners", "segkd_deploy.inference.model"])
def test_every_way_in_sets_the_switches_for_its_children(room: str) -> None:
    code = f"import {room}, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    inner = f"import os; print(sorted(set({list(SWITCHES)}) & set(os.environ)))"
    done = subprocess.run(
        [sys.executable, "-c", code, inner], capture_output=True, text=True, check=True, env=_environment(Path("/"))
    )
    assert done.stdout.strip() == str(sorted(SWITCHES))


@pytest.mark.parametrize("library", ["onnxruntime", "albumentations"])
def test_a_proxy_hears_nothing(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = f"http://127.0.0.1:{server.getsockname()[1]}"
        proxies = {name: proxy for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy")}
        command = [sys.executable, "-c", _PROGRAM, library]
        subprocess.run(command, check=True, env=_environment(tmp_path) | proxies)
        server.settimeout(0.5)
        with pytest.raises(TimeoutError):
            server.accept()
    assert not [path for path in tmp_path.rglob("*") if path.name in ("deviceid", "onnxruntime.db")]


def _environment(home: Path) -> dict[str, str]:
    """This one, with an empty home and without what the tests themselves have switched off."""
    left_out = {*SWITCHES, "XDG_CACHE_HOME", "no_proxy", "NO_PROXY"}
    return {name: value for name, value in os.environ.items() if name not in left_out} | {"HOME": str(home)}
