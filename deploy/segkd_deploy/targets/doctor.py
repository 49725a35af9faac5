"""What a device is and in which state, for ``segkd doctor --target``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd.files.destinations import require_writable_folder
from segkd_deploy.targets.devices import resolve_targets
from segkd_deploy.targets.job import describe_holder
from segkd_deploy.targets.payload import cache_folder, lacking_requirements, requirements, write_app_wheel
from segkd_deploy.targets.session import Session

# Runs there with the wheel of this package as its path; what it imports needs the standard library alone.
_PROGRAM = """
import json
from segkd.machine.inventory import describe_machine
from segkd_deploy.device import describe_device
print(json.dumps({"machine": describe_machine(), "device": describe_device()}))
"""


def target_state(target: str, devices_file: Path | None = None, *, accept_new_host_key: bool = False) -> dict[str, Any]:
    """Look at a device; nothing is installed, and half a megabyte is copied.

    Returns:
        ``name``, ``address``, ``machine`` (as ``describe_machine``), ``device`` (as ``describe_device``), ``folder``,
        ``free_bytes``, ``kept_bytes`` (what earlier runs left to be quick), ``holder`` (who uses it now, or None) and
        ``lacking`` (the requirements of onnxruntime that its Python does not have and a deployment would bring).

    Raises:
        SegkdError: with what to do, if it cannot be reached.
    """
    (spec,) = resolve_targets([target], devices_file=devices_file, accept_new_host_key=accept_new_host_key)
    require_writable_folder(cache_folder(), "XDG_CACHE_HOME=FOLDER in the environment")
    wheel = write_app_wheel(cache_folder())
    sha = sha256_file(wheel)

    with Session(spec) as session:
        session.put({sha: wheel})
        facts = session.facts
        state, _ = session.ask("state", measure=True)
        answer, output = session.ask("run", code=_PROGRAM, paths=[f"{facts['folder']}/blobs/{sha}"])
    if answer["rc"]:
        raise SegkdError(f"{spec.name}: its state cannot be read: {answer['stderr'].strip().splitlines()[-1:]}")

    holder = state["holder"]
    return {
        "name": spec.name,
        "address": spec.address,
        **json.loads(output),
        "architecture": facts["machine"],
        "libc": " ".join(facts["libc"]),
        "folder": facts["folder"],
        "free_bytes": state["free_bytes"],
        "kept_bytes": state["kept_bytes"],
        "holder": None if holder is None else describe_holder(holder),
        "lacking": lacking_requirements(requirements(spec.runtime or "onnxruntime"), facts["installed"]),
    }


def state_rows(state: dict[str, Any]) -> dict[str, str]:
    """The same for people; what the device does not tell is left out."""
    machine, device = state["machine"], state["device"]
    packages = {name: version for name, version in machine["packages"].items() if version and name != "segkd"}
    gigabytes, kept_mb = state["free_bytes"] / 1e9, state["kept_bytes"] / 1e6

    rows = {
        "target": state["name"] if state["name"] == state["address"] else f"{state['name']} ({state['address']})",
        "device": device["model"],
        "python": f"{machine['python']}, {state['architecture']}, {state['libc']}",
        "jetson": _joined({"L4T": device["l4t"], "JetPack": device["jetpack"], "nvpmodel": _mode(device["nvpmodel"])}),
        "clocks": _joined(
            {
                "cpu MHz": device["cpu_mhz"],
                "gpu MHz": device["gpu_mhz"],
                "emc MHz": device["emc_mhz"],
                "locked": device["clocks_locked"],
            }
        ),
        "gpu": "; ".join(machine["gpus"] or []) or None,
        **packages,
        "providers": ", ".join(machine["onnxruntime_providers"] or []) or None,
        "disk": f"{gigabytes:.1f} GB free, {kept_mb:.0f} MB kept in {state['folder']}",
        "brought": ", ".join(state["lacking"]) or "nothing: its Python has the dependencies",
        "in use": state["holder"] or "no",
    }

    return {name: str(value) for name, value in rows.items() if value}


def _mode(mode: dict[str, Any] | None) -> str | None:
    return None if mode is None else f"{mode['id']} ({mode['name']})"


def _joined(values: dict[str, Any]) -> str | None:
    shown = [f"{name} {_plain(value)}" for name, value in values.items() if value is not None]
    return ", ".join(shown) or None


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
