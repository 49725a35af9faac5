"""What a frame costs on a CPU from bytes to labels, beside the bare network and the usual ways.

    python benchmarks/export.py                                      four students, one thread, CPU time
    python benchmarks/export.py --models hrnet-w18s --threads 2      wall time
    python benchmarks/export.py --models none --tail-classes 19,32,150    the decoders alone
    python benchmarks/export.py --artifact quickstart/artifact --others others/bin/python
    python benchmarks/export.py --quick --json                       one round, for machines to read

For each network: our complete graph in fp32 and int8-cpu (uint8 frame in, labels out), and in fp32 with the host
decoder; ``bare``, the same network with a ready float image in and low-resolution logits out; ``usual``, numpy
normalisation, logits of full size out, numpy argmax; torch eager and torch.compile with both ends included. Then logits
to labels for many classes, onnxruntime's Resize and ArgMax against the host decoder, and a network of so many classes
with either. Last, our graphs in OpenVINO and Polygraphy: of --artifact, or of the first network. They are no
dependencies; --others names a Python that has them.

Weights are random: time does not depend on them. All jobs take turns; times are medians. With one thread CPU time
counts, which other processes hardly disturb, else wall time. The peak is the fastest of as many chains of matrix
products in the same runtime, precision and number of threads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from export_graphs import Size, make_frames, make_graphs
from export_jobs import (
    CLOCKS,
    interleaved,
    make_logits,
    medians,
    network_jobs,
    peak_gflops,
    peak_jobs,
    tail_jobs,
    versions,
)

from segkd.options import parse_size
from segkd_deploy.artifact import open_artifact
from segkd_deploy.bench.peak import count_flops
from segkd_deploy.onnx_file.header import spec_of
from segkd_deploy.runners import open_runner

STUDENTS = ("pspnet-r18", "hrnet-w18s", "deeplabv3plus-mv2", "isanet-r18")
# Bars: complete graph over bare network, fp32 over int8-cpu, onnxruntime's tail over the host decoder, agreement.
MOST_OVERHEAD, LEAST_TAIL, LEAST_AGREEMENT = 1.10, 3.0, 0.9999
# Bar for the tails of so many classes.
MANY_CLASSES = 150
LEAST_INT8 = {"pspnet-r18": 2.3, "hrnet-w18s": 1.7}


def run_network(folder: Path, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Times of one network, ratios, bars, and its share of the peak."""
    size: Size = arguments.imgsz
    graphs = make_graphs(folder, name, arguments.classes, size, int8=True)
    with ExitStack() as stack:
        peaks = {f"peak {name}": job for name, job in peak_jobs(folder, arguments.threads).items()}
        jobs = network_jobs(graphs, size, arguments.threads, stack, compiled=arguments.compile)
        samples = interleaved({**jobs, **peaks}, arguments.rounds, CLOCKS[arguments.clock])
    ms = medians({job: samples[job] for job in jobs})
    highest = {precision: peak_gflops(samples[f"peak {precision}"]) for precision in ("fp32", "int8")}
    flops = count_flops(graphs.complete, spec_of(graphs.complete))
    if flops is None:
        raise RuntimeError(f"{name}: operations were not counted")
    rates = {"fp32": flops / ms["fp32"] / 1e6, "int8": flops / ms["int8-cpu"] / 1e6}
    ratios = {"complete_to_bare": ms["fp32"] / ms["bare"], "fp32_to_int8": ms["fp32"] / ms["int8-cpu"]}
    ratios |= {
        f"{job}_to_complete": ms[job] / ms["fp32"] for job in ("usual", "torch eager", "torch.compile") if job in ms
    }
    meets = {"complete_to_bare": ratios["complete_to_bare"] <= MOST_OVERHEAD}
    if name in LEAST_INT8:
        meets["fp32_to_int8"] = ratios["fp32_to_int8"] >= LEAST_INT8[name]
    return {
        "model": name,
        "gflops": flops / 1e9,
        "ms": ms,
        "ratios": ratios,
        "peak_gflops": highest,
        "fraction_of_peak": {precision: rates[precision] / highest[precision] for precision in highest},
        "meets": meets,
    }


def run_tails(folder: Path, classes: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Logits to labels, for each kind of logits."""
    size: Size = arguments.tail_imgsz
    grid = (size[0] // arguments.tail_stride, size[1] // arguments.tail_stride)
    rows = []
    for kind in ("regions", "noise"):
        logits = make_logits(kind, classes, grid)
        jobs, decoder = tail_jobs(folder, classes, grid, size, arguments.threads, logits)
        ms = medians(interleaved(jobs, arguments.rounds, CLOCKS[arguments.clock]))
        agreement = float((jobs["onnxruntime"]() == jobs["host"]()).mean())
        decoder.close()
        ratio = ms["onnxruntime"] / ms["host"]
        meets = {"agreement": agreement >= LEAST_AGREEMENT}
        if classes >= MANY_CLASSES:
            meets["ratio"] = ratio >= LEAST_TAIL
        row = {"classes": classes, "logits": kind, "ms": ms, "ratio": ratio, "agreement": agreement, "meets": meets}
        rows.append(row)
    return rows


def run_decoders(folder: Path, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """A network of many classes, frame to labels, with either decoder."""
    size = arguments.tail_imgsz
    graph = make_graphs(folder, name, max(arguments.tail_classes), size, int8=False).complete
    frames = make_frames(size, 1)
    with ExitStack() as stack:
        runners = {
            decoder: stack.enter_context(open_runner(graph, threads=arguments.threads, decoder=decoder))
            for decoder in ("graph", "host")
        }
        jobs = {decoder: (lambda runner=runner: runner.infer(frames)) for decoder, runner in runners.items()}
        ms = medians(interleaved(jobs, arguments.rounds, CLOCKS[arguments.clock]))
        agreement = float((jobs["graph"]() == jobs["host"]()).mean())
    return {"model": name, "ms": ms, "ratio": ms["graph"] / ms["host"], "agreement": agreement}


def run_others(folder: Path, graphs: dict[str, Path], frames: np.ndarray, python: str) -> dict[str, Any]:
    """Share of pixels with the labels of our runner, for every graph and runtime that ``python`` has."""
    np.save(folder / "frames.npy", frames)
    result: dict[str, Any] = {"versions": {}, "agreement": {}}
    for name, graph in graphs.items():
        with open_runner(graph, decoder="graph") as runner:
            ours = np.concatenate([runner.infer(np.ascontiguousarray(frame[None])) for frame in frames])
        script = str(Path(__file__).with_name("export_others.py"))
        command = [python, script, str(graph), str(folder / "frames.npy"), str(folder / "others.npz")]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result["versions"] = json.loads(done.stdout.splitlines()[-1])
        with np.load(folder / "others.npz") as found:
            result["agreement"][name] = {other: float((found[other] == ours).mean()) for other in found.files}
    exact = [value for name, row in result["agreement"].items() if "int8" not in name for value in row.values()]
    result["missing"] = [other for other in ("openvino", "polygraphy") if other not in result["versions"]]
    result["meets"] = bool(exact) and min(exact) >= LEAST_AGREEMENT
    return result


def graphs_for_others(folder: Path, arguments: argparse.Namespace) -> tuple[dict[str, Path], np.ndarray]:
    """The artifact's variants on its reference frames, or the first network's on made ones."""
    if arguments.artifact is not None:
        artifact = open_artifact(arguments.artifact)
        return {name: artifact.graph(name) for name in artifact.variants()}, artifact.frames()
    name = (arguments.models or STUDENTS)[0]
    graphs = make_graphs(folder, name, arguments.classes, arguments.imgsz, int8=True)
    return {f"{name} fp32": graphs.complete, f"{name} int8-cpu": graphs.int8_cpu}, make_frames(arguments.imgsz)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything, as printed by ``--json``."""
    torch.set_num_threads(arguments.threads)
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text(encoding="utf-8") if cpu.is_file() else ""
    with tempfile.TemporaryDirectory(prefix="segkd-bench-") as name:
        folder = Path(name)
        networks = [run_network(folder, model, arguments) for model in arguments.models]
        tails = [row for classes in arguments.tail_classes for row in run_tails(folder, classes, arguments)]
        decoders = [run_decoders(folder, model, arguments) for model in arguments.tail_models]
        others = run_others(folder, *graphs_for_others(folder, arguments), arguments.others)
    return {
        "imgsz": list(arguments.imgsz),
        "classes": arguments.classes,
        "tail_imgsz": list(arguments.tail_imgsz),
        "tail_stride": arguments.tail_stride,
        "threads": arguments.threads,
        "clock": arguments.clock,
        "rounds": arguments.rounds,
        "vnni": "vnni" in flags,
        "versions": versions(),
        "networks": networks,
        "tails": tails,
        "decoders": decoders,
        "others": others,
    }


def show(result: dict[str, Any]) -> None:
    """The table for people."""

    def said(met: bool) -> str:
        return "met" if met else "NOT met"

    size = "x".join(map(str, result["imgsz"]))
    print(f"{result['clock']} ms, {result['threads']} thread(s), medians of {result['rounds']} rounds in turns")
    print(f"VNNI: {'yes' if result['vnni'] else 'no: the int8 bars are for CPUs that have it'}")
    for row in result["networks"]:
        print(f"\n{row['model']}, {size}, {result['classes']} classes")
        for job, ms in row["ms"].items():
            print(f"  {job:<14} {ms:9.1f}  {ms / row['ms']['fp32']:6.2f} x fp32")
        bars = {"complete_to_bare": f"<= {MOST_OVERHEAD}", "fp32_to_int8": f">= {LEAST_INT8.get(row['model'])}"}
        for name, met in row["meets"].items():
            print(f"  {name.replace('_', ' ')}: {row['ratios'][name]:.3f}, bar {bars[name]}: {said(met)}")
        for precision, share in row["fraction_of_peak"].items():
            print(f"  {precision}: {share:.0%} of the measured peak, {row['peak_gflops'][precision]:.0f} GFLOP/s")
    size = "x".join(map(str, result["tail_imgsz"]))
    print(f"\nlogits to labels, {size} from stride {result['tail_stride']}")
    for row in result["tails"]:
        ms, bar = row["ms"], row["meets"].get("ratio")
        print(f"  {row['classes']:>3} classes, {row['logits']:<8}", end="")
        print(f"onnxruntime {ms['onnxruntime']:.1f}, host {ms['host']:.1f}: {row['ratio']:.1f} x, ", end="")
        print("" if bar is None else f"bar >= {LEAST_TAIL:g}: {said(bar)}; ", end="")
        print(f"same labels {row['agreement']:.6f}")
    for row in result["decoders"]:
        ms = row["ms"]
        print(f"  {row['model']}: frame to labels, graph {ms['graph']:.1f}, host {ms['host']:.1f}: ", end="")
        print(f"{row['ratio']:.2f} x; same labels {row['agreement']:.6f}")
    print("\nour graphs in other runtimes, share of pixels with our runner's label")
    for name, row in result["others"]["agreement"].items():
        for other, agreement in row.items():
            print(f"  {name:<22} {other} {result['others']['versions'][other]}: {agreement:.6f}")
    for other in result["others"]["missing"]:
        print(f"  not installed, left out: {other} (--others names a Python that has it)")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(STUDENTS), help="networks of the zoo, or none")
    parser.add_argument("--imgsz", type=parse_size, default=(512, 1024), metavar="HxW")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--tail-imgsz", type=parse_size, default=(512, 512), metavar="HxW")
    parser.add_argument("--tail-stride", type=int, default=8, help="pixels per logit")
    parser.add_argument("--tail-classes", default="150", help="one or more numbers")
    parser.add_argument("--tail-models", default="hrnet-w18s", help="networks of --tail-classes, or none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=sorted(CLOCKS), help="[default: cpu for one thread, else wall]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="without torch.compile")
    parser.add_argument("--artifact", type=Path, help="whose graphs run in the other runtimes")
    parser.add_argument("--others", default=sys.executable, help="a Python with openvino and polygraphy")
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(words)
    for name in ("models", "tail_models"):
        listed = getattr(arguments, name)
        setattr(arguments, name, [] if listed == "none" else listed.split(","))
    arguments.tail_classes = [int(word) for word in arguments.tail_classes.split(",")]
    arguments.clock = arguments.clock or ("cpu" if arguments.threads == 1 else "wall")
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    return arguments


def main() -> None:
    arguments = parse()
    result = run(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
