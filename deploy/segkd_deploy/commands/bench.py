"""``segkd bench``: latency, throughput, memory, energy and cold start of one graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkd.options import OUT_FILE, Number, json_option
from segkd_deploy.targets.remote import Remote, target_options

if TYPE_CHECKING:
    from segkd_deploy.artifact import Artifact

# Columns of a sweep's table.
_SWEPT = ("p50", "p99")


@click.command(short_help="Measure latency, memory and cold start.")
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--variant", help="Variant to measure  [default: all; with --out the first].")
@click.option("--precision", help="Instead of --variant: fp32, fp16 or int8 as this runtime runs it best.")
@click.option("--runtime", default="onnxruntime", show_default=True, help="onnxruntime, tensorrt or tensorrt_rtx.")
@click.option("--provider", help="What the runtime runs on.  [default: cpu; cuda:0 for tensorrt]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside an operator [default: physical cores].")
@click.option("--batch", type=click.IntRange(min=1), help="Frames per call [default: the scenario's choice].")
@click.option(
    "--scenario",
    type=click.Choice(["single-stream", "offline", "fixed-rate"]),
    default="single-stream",
    show_default=True,
    help="How frames come.",
)
@click.option("--fps", type=Number(min=0, min_open=True), help="fixed-rate: the camera's frames per second.")
@click.option(
    "--deadline",
    "deadline_ms",
    type=Number(min=0, min_open=True),
    help="fixed-rate: milliseconds from due to labels [default: until the next frame].",
)
@click.option("--late", type=click.Choice(["drop", "queue"]), help="fixed-rate: what late frames do [default: drop].")
@click.option("--preset", type=click.Choice(["quick", "standard", "mlperf"]), default="quick", show_default=True)
@click.option("--iterations", type=click.IntRange(min=1), help="Time at least this many calls ...")
@click.option("--duration", "duration_s", type=Number(min=0), help="... and at least this many seconds.")
@click.option("--warmup-iterations", type=click.IntRange(min=0), help="Calls before the timed ones, at least ...")
@click.option("--warmup", "warmup_s", type=Number(min=0), help="... and seconds before them, at least.")
@click.option("--cold-starts", type=click.IntRange(min=1), help="Fresh processes for the cold start.")
@click.option("--sweep", multiple=True, metavar="AXIS=V,V", help="batch=1,2,4 or threads=1,2; may be repeated.")
@click.option("--cuda-graph", is_flag=True, help="tensorrt: record the network once and replay it.")
@click.option("--zero-copy", is_flag=True, help="tensorrt: the GPU reads the CPU's memory in place (Jetson).")
@click.option(
    "--decoder",
    type=click.Choice(["auto", "graph", "host"]),
    default="auto",
    show_default=True,
    help="onnxruntime on CPUs: who turns logits into labels; auto takes the host for many classes.",
)
@click.option("--peak/--no-peak", default=True, help="Measure the device's peak for comparison [default: yes].")
@click.option("--telemetry/--no-telemetry", default=True, help="Sample power, heat and throttling [default: yes].")
@click.option("--lock-clocks", is_flag=True, help="Lock the clocks meanwhile (needs root); always restored.")
@click.option("--out", type=OUT_FILE, help="File to write [default: ARTIFACT/bench.json].")
@target_options
@json_option
def bench(
    artifact: Path,
    variant: str | None,
    precision: str | None,
    scenario: str,
    preset: str,
    sweep: tuple[str, ...],
    peak: bool,
    telemetry: bool,
    lock_clocks: bool,
    out: Path | None,
    as_json: bool,
    remote: Remote | None,
    **options: Any,
) -> None:
    """Measure latency, throughput, memory, energy and cold start.

    The reference frames are the input, in turn. single-stream: one call at a time. offline: the largest batches, for
    the throughput. fixed-rate: a frame is due every 1/FPS s; latency counts from then, and missed deadlines are
    counted. Presets time at least 64 calls and 30 s (quick), 662 and 60 s (standard), 662 and 600 s (mlperf); all but
    quick call a measurement whose median rises by more than 3 % invalid. What is shorter, or was disturbed, is not
    valid and goes into no release. All variants are measured, one after the other; those other than the first go to
    ARTIFACT/bench.VARIANT.json; raw times lie beside it.
    """
    from segkd.errors import SegkdError
    from segkd.files.destinations import require_writable_file
    from segkd.options import print_json
    from segkd_deploy.artifact import open_artifact
    from segkd_deploy.bench.report import write_bench
    from segkd_deploy.bench.run import Plan, bench_artifact
    from segkd_deploy.bench.run_options import RunOptions
    from segkd_deploy.bench.scenarios import make_scenario
    from segkd_deploy.bench.settings import BOUNDS, choose_settings
    from segkd_deploy.bench.sweep import parse_sweep
    from segkd_deploy.evidence import bench_path
    from segkd_deploy.runners import default_provider

    given = {name: value for name, value in options.items() if value is not None}
    asked_provider = given.pop("provider", None)
    provider = asked_provider or default_provider(given["runtime"])
    rates = {name: given.pop(name) for name in ("fps", "deadline_ms", "late") if name in given}
    bounds = {name: given.pop(name) for name in BOUNDS if name in given}
    plan = Plan(
        settings=choose_settings(preset, bounds),
        options=RunOptions(provider=provider, **given),
        scenario=make_scenario(scenario, **rates),
        sweep=parse_sweep(sweep),
        peak=peak,
        telemetry=telemetry,
        lock_clocks=lock_clocks,
    )
    opened = open_artifact(artifact)
    if precision is not None:
        if variant is not None:
            raise SegkdError("--variant and --precision exclude each other; give one")
        variant = opened.variant_for(precision, plan.options.runtime, provider)
    names = _chosen(opened, variant, plan.options.runtime, out)
    paths = {name: bench_path(opened, name) if out is None else out for name in names}
    for path in paths.values():
        require_writable_file(path)
    results = {}
    for name, path in paths.items():
        if remote is not None:
            words = remote.words if variant is not None else (*remote.words, "--variant", name)
            there = replace(remote, words=words)
            results[name] = there.run("bench", opened, path, plan.options.runtime, asked_provider)
        else:
            report = bench_artifact(opened, name, plan, lambda line: click.echo(f"bench {line}", err=True))
            try:
                results[name] = write_bench(path, report)
            except SegkdError:  # what was measured is not lost with the file
                print_json(report.to_dict()) if as_json else _print(report.to_dict())
                raise
        if not as_json:
            _print(results[name])
        click.echo(f"written: {path}", err=True)
    if as_json:
        print_json(results[names[0]] if len(names) == 1 else {"variants": results})


def _chosen(artifact: Artifact, variant: str | None, runtime: str, out: Path | None) -> list[str]:
    """The variants to measure: the one asked for, else all that the runtime takes; one file holds the first alone."""
    from segkd_deploy.tensorrt.build import variants_for

    if variant is not None:
        return artifact.variants([variant])
    names = artifact.variants(variants_for(artifact, runtime))
    if out is not None and len(names) > 1:
        click.echo(f"note: --out is one file: only {names[0]} is measured; name another with --variant", err=True)
        names = names[:1]
    return names


def _print(result: dict[str, Any]) -> None:
    from segkd.table import format_table

    artifact, runtime, device, load = (result[key] for key in ("artifact", "runtime", "device", "load"))
    click.echo(f"{artifact['path']} on {device['model']}")
    where = f"{runtime['threads']} threads" if runtime["threads"] else runtime["device"]
    click.echo(f"{runtime['name']} {runtime['version']}, {runtime['provider']}, {where}")
    header = ("latency", *result["latency_ms"])
    click.echo(format_table(header, [("ms", *(f"{value:.3f}" for value in result["latency_ms"].values()))]))
    for line in _facts(result):
        click.echo(line)
    parts = ", ".join(
        f"{name.removesuffix('_ms')} {load[name]:.0f}" for name in ("import_ms", "session_ms", "first_infer_ms")
    )
    click.echo(f"cold start {load['total_ms']:.0f} ms ({parts})")
    if load["rss_peak_bytes"] is not None:
        click.echo(f"peak memory {load['rss_peak_bytes'] / 1e6:.0f} MB")
    if result["sweep"]:
        rows = [_row(point) for point in result["sweep"]]
        click.echo(format_table(("batch", "threads", *_SWEPT, "frames/s", "valid"), rows))
    for warning in result["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    click.echo("valid" if result["valid"] else f"NOT VALID: {'; '.join(result['invalid_reasons'])}")


def _row(point: dict[str, Any]) -> list[str]:
    latencies = [f"{point['latency_ms'][name]:.3f}" for name in _SWEPT]
    last = [f"{point['throughput_fps']:.1f}", "yes" if point["valid"] else "NO"]
    return [str(point["batch"]), str(point["threads"] or "-"), *latencies, *last]


def _facts(result: dict[str, Any]) -> list[str]:
    """Lines that only some measurements have."""
    method, rate, compute, power = (result.get(key) or {} for key in ("method", "fixed_rate", "compute", "power"))
    lines = [f"{method['iterations']} calls of batch {method['batch']}, {result['throughput_fps']:.1f} frames/s"]
    if rate:
        missed = f"{rate['missed']} missed {method['deadline_ms']:g} ms ({rate['missed_fraction']:.1%})"
        lines.append(
            f"{rate['frames_due']} frames at {method['fps']:g} per second: {missed}, {rate['dropped']} of them dropped"
        )
    if compute["achieved_gflops"] is not None:
        line = f"{compute['flops_per_frame'] / 1e9:.2f} GFLOP per frame, {compute['achieved_gflops']:.1f} GFLOP/s"
        if compute["fraction_of_peak"] is not None:
            line += f", {compute['fraction_of_peak']:.0%} of the measured peak"
        lines.append(line)
    if power["energy_mj_per_frame"] is not None:
        lines.append(f"{power['energy_mj_per_frame']:.1f} mJ per frame on {power['rail']}, {power['mean_w']:.2f} W")
    return lines
