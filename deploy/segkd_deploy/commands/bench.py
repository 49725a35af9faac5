"""``segkd bench``: latency, memory and cold start of one graph on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from segkd.options import json_option


@click.command(short_help="Measure latency, memory and cold start.")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--variant", help="Variant to measure [default: the artifact's first].")
@click.option("--precision", help="Instead of --variant: fp32, fp16 or int8 as this runtime runs it best.")
@click.option("--runtime", default="onnxruntime", show_default=True, help="onnxruntime, tensorrt or tensorrt_rtx.")
@click.option("--provider", help="What the runtime runs on.  [default: cpu; cuda:0 for tensorrt]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside an operator [default: physical cores].")
@click.option("--preset", type=click.Choice(["quick", "standard"]), default="quick", show_default=True)
@click.option("--iterations", type=click.IntRange(min=1), help="Time at least this many calls ...")
@click.option("--duration", "duration_s", type=click.FloatRange(min=0), help="... and at least this many seconds.")
@click.option("--warmup-iterations", type=click.IntRange(min=0), help="Calls before the timed ones, at least ...")
@click.option("--warmup", "warmup_s", type=click.FloatRange(min=0), help="... and seconds before them, at least.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write [default: ARTIFACT/bench.json].")
@json_option
def bench(
    artifact: Path,
    variant: str | None,
    precision: str | None,
    runtime: str,
    provider: str | None,
    threads: int | None,
    preset: str,
    out: Path | None,
    as_json: bool,
    **bounds: Any,
) -> None:
    """Measure latency, memory and cold start.

    The reference frames are the input, one call at a time; the clock runs around the call alone. Preset quick takes
    at least 50 calls and 2 s after 10 calls and 0.5 s of warm-up; standard 662 and 60 s after 50 and 2 s, and calls
    a measurement whose median rises by more than 3 % invalid. Variants other than the first go to
    ARTIFACT/bench.VARIANT.json.
    """
    import dataclasses

    from segkd.errors import SegkdError
    from segkd.options import print_json
    from segkd_deploy.artifact import open_artifact
    from segkd_deploy.bench import PRESETS, bench_artifact
    from segkd_deploy.evidence import bench_path, write_evidence
    from segkd_deploy.runners import default_provider

    provider = provider or default_provider(runtime)
    opened = open_artifact(artifact)
    if precision is not None:
        if variant is not None:
            raise SegkdError("--variant and --precision exclude each other; give one")
        variant = opened.variant_for(precision, runtime, provider)
    chosen = opened.variants([variant] if variant else [])[0]
    settings = dataclasses.replace(
        PRESETS[preset], **{name: value for name, value in bounds.items() if value is not None}
    )
    click.echo(
        f"bench {chosen}: warm-up, at least {settings.iterations} calls and {settings.duration_s:g} s, "
        f"{settings.cold_starts} cold starts",
        err=True,
    )
    result = bench_artifact(opened, chosen, settings, runtime=runtime, provider=provider, threads=threads)
    path = bench_path(opened, chosen) if out is None else out
    write_evidence(path, result)
    if as_json:
        print_json(result)
    else:
        _print(result)
    click.echo(f"written: {path}", err=True)


def _print(result: dict[str, Any]) -> None:
    from segkd_deploy.table import format_table

    artifact, runtime, device, load = (result[key] for key in ("artifact", "runtime", "device", "load"))
    click.echo(f"{artifact['path']} on {device['model']}")
    where = f"{runtime['threads']} threads" if runtime["threads"] else runtime["device"]
    click.echo(f"{runtime['name']} {runtime['version']}, {runtime['provider']}, {where}")
    header = ("latency", *result["latency_ms"])
    click.echo(format_table(header, [("ms", *(f"{value:.3f}" for value in result["latency_ms"].values()))]))
    click.echo(f"{result['method']['iterations']} calls, {result['throughput_fps']:.1f} frames/s")
    parts = ", ".join(
        f"{name.removesuffix('_ms')} {load[name]:.0f}" for name in ("import_ms", "session_ms", "first_infer_ms")
    )
    click.echo(f"cold start {load['total_ms']:.0f} ms ({parts})")
    if load["rss_peak_bytes"] is not None:
        click.echo(f"peak memory {load['rss_peak_bytes'] / 1e6:.0f} MB")
    for warning in result["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    click.echo("valid" if result["valid"] else f"NOT VALID: {'; '.join(result['invalid_reasons'])}")
