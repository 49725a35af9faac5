"""``segkd doctor``."""

from __future__ import annotations

import click

from segkd.options import json_option, print_json


@click.command(short_help="Show what this machine has.")
@json_option
def doctor(as_json: bool) -> None:
    """Show what this machine has.

    Python, processor, GPUs, and the libraries of each extra. Only reads; always exits with 0.
    """
    from segkd.machine import describe_machine

    machine = describe_machine()
    if as_json:
        print_json(machine)
        return
    gpus = machine["gpus"]
    rows = {
        "python": machine["python"],
        "platform": machine["platform"],
        "cpu": f"{machine['cpu']}, {machine['cores']} cores",
        "memory": f"{machine['memory_gib']} GiB",
        "gpu": "none (no nvidia-smi)" if gpus is None else "; ".join(gpus) or "none that nvidia-smi can reach",
        "jetson": f"L4T {machine['l4t']}" if machine["l4t"] else "no",
        **{name: version or "not installed" for name, version in machine["packages"].items()},
    }
    if machine["onnxruntime_providers"] is not None:
        rows["providers"] = ", ".join(machine["onnxruntime_providers"])
    for name, value in rows.items():
        click.echo(f"{name:<17} {value}")
