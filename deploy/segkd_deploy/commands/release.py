"""``segkd release``: bundles that passed their gates, and proof that they are still the same."""

from __future__ import annotations

from pathlib import Path

import click

from segkd.options import json_option


@click.group(short_help="Create and verify gated release bundles.")
def release() -> None:
    """Create and verify gated release bundles."""


@release.command(short_help="Check the gates and write a bundle.")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--gates", required=True, type=click.Path(path_type=Path), help="YAML file of gates.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write the bundle into.")
@click.option("--name", help="Name of the release [default: the source run's].")
@click.option("--version", help="Version of the release [default: the start of the manifest's hash].")
@json_option
def create(artifact: Path, gates: Path, out: Path, name: str | None, version: str | None, as_json: bool) -> None:
    """Check the gates and write a bundle.

    Gates: miou_floor, miou_delta, agreement (fractions 0..1), p99_latency_ms, size_mb; under variants.NAME for one
    variant only. Agreement and miou_delta hold with the limits of `segkd validate` if the file does not name them.
    The evidence is ARTIFACT/parity.json and ARTIFACT/bench.json; it must speak of the bytes that are there now.

    Writes OUT/NAME-VERSION/, OUT/NAME-VERSION.tar.gz and its .sha256. Exit code 1, and nothing is written, if a gate
    fails or a file of the artifact has changed.
    """
    from segkd.errors import GateFailed
    from segkd.options import print_json
    from segkd_deploy.release.bundle import prepare_release, write_bundle
    from segkd_deploy.table import format_gates

    prepared = prepare_release(artifact, gates, name, version)
    folder = write_bundle(prepared, out) if prepared.record["passed"] else None
    if as_json:
        print_json(prepared.record)
    else:
        click.echo(format_gates(prepared.record["gates"]))
    if folder is None:
        failed = [f"{gate['variant']} {gate['name']}" for gate in prepared.record["gates"] if not gate["passed"]]
        raise GateFailed(f"not released: {', '.join(failed)}")
    click.echo(f"written: {folder}", err=True)


@release.command(short_help="Check a bundle: hashes, graphs, evidence and gates.")
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def verify(bundle: Path, as_json: bool) -> None:
    """Check a bundle, a folder or an archive: hashes, graphs, evidence and gates.

    Exit code 1, naming what does not hold, if a file has changed, is missing or was added, if the files contradict each
    other, or if release.json is not what the evidence in the bundle gives. Who made the bundle, only a signature says.
    """
    from segkd.options import print_json
    from segkd_deploy.release.verify import verify_release

    files = verify_release(bundle)
    if as_json:
        print_json({"passed": True, "bundle": str(bundle), "files": files})
    else:
        click.echo(f"{bundle}: {len(files)} files, all as released")
