"""``segkd doctor``."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from segkd.options import json_option, print_json

# The room that reaches other machines; core imports none.
TARGET_STATE = "segkd_deploy.targets.doctor"


@click.command()
@click.option("--target", help="Another machine: ssh://user@host[:port] or a name of devices.yaml.")
@click.option("--devices", "devices_file", type=click.Path(path_type=Path), help="File that names devices.")
@click.option("--accept-new-host-key", is_flag=True, help="Take and remember a host key that was never seen.")
@json_option
def doctor(target: str | None, devices_file: Path | None, accept_new_host_key: bool, as_json: bool) -> None:
    """Show what this machine has.

    Python, processor, GPUs, and the libraries of each extra. Only reads; always exits with 0.

    With --target: the same of a device, with its release, clocks, room on its disk and who uses it; exits with 2 or 3
    if it cannot be reached.
    """
    if target is not None:
        module = importlib.import_module(TARGET_STATE)
        state = module.target_state(target, devices_file, accept_new_host_key=accept_new_host_key)
        if as_json:
            print_json(state)
        else:
            _print(module.state_rows(state))
        return
    from segkd.machine.inventory import describe_machine

    machine = describe_machine()
    if as_json:
        print_json(machine)
        return
    gpus, quota = machine["gpus"], machine["cpu_quota"]
    rows = {
        "python": machine["python"],
        "platform": machine["platform"],
        "cpu": f"{machine['cpu']}, {machine['cores']} cores" + ("" if quota is None else f", quota of {quota:g} CPUs"),
        "memory": f"{machine['memory_gib']} GiB",
        "gpu": "none (no nvidia-smi)" if gpus is None else "; ".join(gpus) or "none that nvidia-smi can reach",
        "jetson": f"L4T {machine['l4t']}" if machine["l4t"] else "no",
        **{name: version or "not installed" for name, version in machine["packages"].items()},
    }
    if machine["onnxruntime_providers"] is not None:
        rows["providers"] = ", ".join(machine["onnxruntime_providers"])
    _print(rows)


def _print(rows: dict[str, str]) -> None:
    for name, value in rows.items():
        click.echo(f"{name:<17} {value}")
