"""``segkd release``: bundles that passed their gates, and proof that they are still the same."""

from __future__ import annotations

from pathlib import Path

import click

from segkd.options import OUT_FOLDER, json_option


@click.group()
def release() -> None:
    """Create and verify gated release bundles."""


@release.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--gates", type=click.Path(path_type=Path), help="YAML file of gates, see `segkd release gates`.")
@click.option("--out", required=True, type=OUT_FOLDER, help="Folder to write the bundle into.")
@click.option("--name", help="Name of the release [default: the source run's].")
@click.option("--version", help="Version of the release [default: the start of the manifest's hash].")
@json_option
def create(artifact: Path, gates: Path | None, out: Path, name: str | None, version: str | None, as_json: bool) -> None:
    """Check the gates and write a bundle.

    Every gate of `segkd validate` holds, with the recipe's limits; the file makes them stricter and adds miou_floor,
    p99_latency_ms and size_mb, for all, a precision or a variant: `segkd release gates` prints one. The evidence is
    ARTIFACT/parity.json and a bench.json of every variant; it must speak of the bytes that are there now, and no
    measurement may be shorter than its preset asks.

    Writes OUT/NAME-VERSION/, OUT/NAME-VERSION.tar.gz and its .sha256. Exit code 1, and nothing is written, if a gate
    fails or a file of the artifact has changed.
    """
    from segkd.errors import GateFailed, SegkdError
    from segkd.options import print_json
    from segkd.table import format_gates
    from segkd_deploy.release.bundle import prepare_release, write_bundle

    if gates is None:
        raise SegkdError("release needs --gates FILE; `segkd release gates > gates.yaml` writes one to begin with")
    prepared = prepare_release(artifact, gates, name, version)
    folder = write_bundle(prepared, out) if prepared.record["passed"] else None
    if as_json:
        print_json(prepared.record)
    else:
        click.echo(format_gates(prepared.record["gates"]))
    for note in prepared.notes:
        click.echo(f"note: {note}", err=True)
    if folder is None:
        names = [row["name"] for row in prepared.record["gates"] if not row["passed"]]
        raise GateFailed(f"not released: {', '.join(prepared.failed())}", names)
    click.echo(f"written: {folder}", err=True)


@release.command(short_help="Print a gates file to begin with.")
def gates() -> None:
    """Print a gates file to begin with: every kind of gate, with what it means.

    Example: segkd release gates > gates.yaml
    """
    from segkd_deploy.gates.example import EXAMPLE

    click.echo(EXAMPLE, nl=False)


@release.command(short_help="Check a bundle: hashes, graphs, evidence and gates.")
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
def verify(bundle: Path, as_json: bool) -> None:
    """Check a bundle, a folder or an archive: hashes, graphs, evidence and gates.

    Exit code 1, naming what does not hold, if a file has changed, is missing or was added, if the files contradict each
    other, or if release.json is not what the evidence in the bundle gives. A bundle of an earlier segkd is
    held against the gates of its time. Who made the bundle, only a signature says.
    """
    from segkd.options import print_json
    from segkd_deploy.release.verify import verify_release

    files = verify_release(bundle, lambda text: click.echo(f"note: {text}", err=True))
    if as_json:
        print_json({"passed": True, "bundle": str(bundle), "files": files})
    else:
        click.echo(f"{bundle}: {len(files)} files, all as released")
