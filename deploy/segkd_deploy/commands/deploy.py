"""``segkd deploy``: an artifact on devices, measured there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segkd.options import OUT_FOLDER, Number, json_option

LEASE_HELP = "Seconds that a device goes on without a word from here."


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, required=True, help="local, ssh://user@host[:port] or a name.")
@click.option("--out", required=True, type=OUT_FOLDER, help="Folder for what comes back.")
@click.option("--gates", type=click.Path(path_type=Path), help="YAML file of gates  [default: those of validate].")
@click.option("--variant", "variants", multiple=True, help="Variant; may be repeated.  [default: all that go]")
@click.option("--runtime", help="onnxruntime, tensorrt or tensorrt_rtx.  [default: the device's, else onnxruntime]")
@click.option("--provider", help="What the runtime runs on.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside an operator.")
@click.option("--preset", help="As in segkd bench.")
@click.option("--bench", metavar="OPTIONS", default="", help="More options of segkd bench, as in '--lock-clocks'.")
@click.option("--devices", "devices_file", type=click.Path(path_type=Path), help="File that names devices.")
@click.option("--accept-new-host-key", is_flag=True, help="Take and remember a host key that was never seen.")
@click.option("--wait", "wait_s", type=Number(min=0), default=0, help="Seconds to wait for a busy device.")
@click.option("--lease", "lease_s", type=Number(min=2), default=120, show_default=True, help=LEASE_HELP)
@click.option("--timeout", "timeout_s", type=Number(min=1), default=7200, show_default=True, help="Seconds.")
@json_option
def deploy(
    artifact: Path,
    targets: tuple[str, ...],
    out: Path,
    gates: Path | None,
    devices_file: Path | None,
    accept_new_host_key: bool,
    preset: str | None,
    bench: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Copy, validate and bench on devices.

    The artifact and a torch-free runner are copied; with TensorRT the engine is built on the device; validate and bench
    run there, and their evidence, the labels of the reference frames and the log come back to OUT/TARGET/. Several
    --target run side by side; one that fails stops no other. The exit code is the worst of all.

    A device needs Linux, Python 3.10 and an SSH server; no torch, no pip, no data set. It goes on alone while the
    connection is lost, for --lease seconds, and ends a run after --timeout seconds.

    Example: segkd deploy runs/student/artifact --target ssh://nvidia@orin --out deployed
    """
    from segkd.files.destinations import require_writable_folder
    from segkd.options import print_json
    from segkd_deploy.artifact import open_artifact
    from segkd_deploy.gates import load_gates
    from segkd_deploy.targets.deploy import Request, deploy_all
    from segkd_deploy.targets.devices import resolve_targets
    from segkd_deploy.targets.job import Timeouts

    opened = open_artifact(artifact)
    require_writable_folder(out)
    timeouts = Timeouts(*(options.pop(name) for name in ("lease_s", "wait_s", "timeout_s")))
    request = Request(
        opened,
        resolve_targets(targets, devices_file=devices_file, accept_new_host_key=accept_new_host_key),
        out,
        bench=(*([] if preset is None else ["--preset", preset]), *_split(bench)),
        gates={} if gates is None else load_gates(gates, opened.variants()),
        timeouts=timeouts,
        **options,
    )
    report = deploy_all(request, tell=lambda name, line: click.echo(f"{name}: {line}", err=True))
    if as_json:
        print_json(report)
    else:
        _print(report)
    click.echo(f"written: {out}", err=True)
    raise SystemExit(report["exit_code"])


def _split(words: str) -> list[str]:
    import shlex

    from segkd.errors import SegkdError

    try:
        return shlex.split(words)
    except ValueError as error:
        raise SegkdError(f"--bench {words!r}: {error}") from error


def _print(report: dict[str, Any]) -> None:
    from segkd.table import format_table
    from segkd_deploy.targets.spec import without_name

    header = ("target", "device", "runtime", "variant", "agreement", "p50 ms", "p99 ms", "frames/s", "valid", "result")
    rows = []
    for target in report["targets"]:
        result = {0: "passed", 1: "GATE FAILED"}.get(target["exit_code"], "FAILED")
        for variant, part in target["variants"].items():
            numbers = (f"{part['agreement']:.6f}", *(f"{part[key]:.3f}" for key in ("p50_ms", "p99_ms")))
            valid = "yes" if part["valid"] else "NO"
            where = (target["name"], str(part["device"]), target["runtime"], variant)
            rows.append((*where, *numbers, f"{part['throughput_fps']:.1f}", valid, result))
        if not target["variants"]:
            rows.append((target["name"], "-", target["runtime"], *("-" * 6), result))
    click.echo(format_table(header, rows))
    for variant, equal in report["labels_equal"].items():
        click.echo(f"{variant}: the labels of all targets are {'equal' if equal else 'NOT equal'}")
    for target in report["targets"]:
        if target["error"]:
            said = without_name(target["name"], target["address"], target["error"])
            click.echo(f"{target['name']}: {said}", err=True)
