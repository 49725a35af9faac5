"""The whole chain on built-in street scenes, made of ordinary commands that a user can copy."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from segkd.errors import GateFailed, SegkdError
from segkd.files.small_files import read_json, read_text
from segkd.folders import ArtifactFiles, RunFiles

MARKER = ".segkd-quickstart"
LABELLED_FRAMES = 20
METHOD = "cwd:2"
NUM_PICTURES = 6
GATES = """\
# What the distilled student must hold to be released; `segkd release create` exits with 1 otherwise.
miou_floor: 0.40          # on the validation set, 0..1
miou_delta: 0.0005        # largest loss of mIoU from the torch student to the graph
agreement: 0.9999         # share of pixels with the torch student's label
p99_latency_ms: 1000      # a smoke test on any CPU; set your device's budget here
size_mb: 5
"""


@dataclass
class Plan:
    """How large a quickstart is; the defaults fit two CPU cores and six minutes.

    Attributes:
        train_frames: training frames; the first ``LABELLED_FRAMES`` of them have labels for the students.
        val_frames: validation frames.
        imgsz: "HxW" of the frames.
        seed: of data and training.
        settings: extra ``--set`` values for every training.
        gates: the release's gates.yaml; by default ``GATES``.
    """

    train_frames: int = 600
    val_frames: int = 100
    imgsz: str = "128x256"
    seed: int = 1
    settings: tuple[str, ...] = ()
    gates: Path | None = None


@dataclass
class Chain:
    """Runs commands one after the other and remembers what each took."""

    out: Path
    steps: list[dict[str, Any]] = field(default_factory=list)

    def run(self, *words: str) -> None:
        """Run one segkd command in this process; its errors end the quickstart."""
        from segkd.cli import run

        command = shlex.join(["segkd", *words])
        click.secho(f"\n$ {command}", bold=True, err=True)
        start_s = time.perf_counter()
        try:
            run(list(words))
        finally:
            seconds = time.perf_counter() - start_s
            click.echo(f"  {seconds:.1f} s", err=True)
            self.steps.append({"command": command, "seconds": round(seconds, 2)})


def run_quickstart(out: Path, plan: Plan) -> dict[str, Any]:
    """Make data, train, distil, export, validate, benchmark, release and report.

    Args:
        out: folder for everything; an earlier quickstart in it is replaced.
        plan: sizes and seed.

    Returns:
        The content of ``out/summary.json``. A release that its gates refuse is recorded there, not raised; with
        ``postponed`` it was refused only because something disturbed the measurement of its latency.

    Raises:
        SegkdError: if ``out`` holds something else, or another step fails.
    """
    _prepare(out)
    chain = Chain(out)
    data = f"cityscapes:{out / 'data'}"
    labelled, unlabelled = f"{data},frames=:{LABELLED_FRAMES}", f"{data},frames={LABELLED_FRAMES}:"
    runs = {name: out / name for name in ("teacher", "student", "distilled")}
    seed = ["--seed", str(plan.seed)]
    extra = [word for setting in plan.settings for word in ("--set", setting)]

    counts = ["--train", str(plan.train_frames), "--val", str(plan.val_frames)]
    chain.run("data", "synth", "--out", str(out / "data"), *counts, "--imgsz", plan.imgsz, *seed)
    student = ["--recipe", "quickstart-student", "--data", labelled, "--val", data, *seed, *extra]
    chain.run("train", "--recipe", "quickstart-teacher", "--data", data, *seed, *extra, "--out", str(runs["teacher"]))
    chain.run("train", *student, "--out", str(runs["student"]))
    lesson = ["--unlabelled", unlabelled, "--teacher", str(runs["teacher"]), "--method", METHOD]
    chain.run("distill", *student, *lesson, "--out", str(runs["distilled"]))
    for name, run in runs.items():
        chain.run("eval", str(run), "--data", data, "--save-predictions", str(out / "predictions" / name))

    artifact = out / "artifact"
    chain.run("export", str(runs["distilled"]), "--data", data, "--out", str(artifact))
    chain.run("validate", str(artifact), "--data", data)
    chain.run("bench", str(artifact))
    (out / "gates.yaml").write_text(read_text(plan.gates) if plan.gates else GATES)
    summary = _summarise(out, runs, artifact, chain)
    summary["release"] = _release(chain, out, artifact)
    summary["steps"] = list(chain.steps)
    _write(out / "summary.json", summary)
    chain.run("report", str(out), "--out", str(out / "report.html"))
    summary["steps"] = chain.steps
    summary["seconds"] = round(sum(step["seconds"] for step in chain.steps), 1)
    _write(out / "summary.json", summary)
    return summary


def _release(chain: Chain, out: Path, artifact: Path) -> dict[str, Any]:
    """Release what was validated and timed; the ``release`` object of the summary."""
    words = ["release", "create", str(artifact), "--gates", str(out / "gates.yaml"), "--out", str(out / "release")]
    try:
        chain.run(*words)
    except GateFailed as refusal:
        if refusal.gates != {"bench_valid"}:
            click.echo(f"segkd: {refusal}", err=True)
            return {"passed": False}

        # Every gate of the student holds; what was busy is the machine.
        again = "; ".join(shlex.join(["segkd", *command]) for command in (["bench", str(artifact)], words))
        postponed = f"{refusal}; on a quiet machine: {again}"
        click.echo(f"note: {postponed}", err=True)
        return {"passed": False, "postponed": postponed}

    (released,) = (out / "release").glob("*/release.json")
    return {"passed": True, "file": str(released.relative_to(out))}


def verdict(summary: dict[str, Any]) -> str:
    """One sentence on whether distillation helped, with the numbers."""
    alone, distilled, teacher = (summary[name]["miou"] for name in ("student", "distilled", "teacher"))
    gain = 100 * (distilled - alone)
    numbers = f"{100 * alone:.1f} -> {100 * distilled:.1f} mIoU ({gain:+.1f} points; teacher {100 * teacher:.1f})"
    if gain <= 0:
        return f"Distillation did NOT help in this run: {numbers}"
    return f"Distillation helped, at equal iterations and with {LABELLED_FRAMES} labelled frames: {numbers}"


def _prepare(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise SegkdError(f"{out} holds files that are not a quickstart's: name another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).write_text("made by `segkd quickstart`, which may replace this folder\n")


def _summarise(out: Path, runs: dict[str, Path], artifact: Path, chain: Chain) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for name, run in runs.items():
        record = read_json(run / RunFiles.RECORD)
        summary[name] = {
            "miou": record["eval"]["miou"],
            "seconds": record["seconds"]["train"],
            "params": record["params"],
            "run": str(run.resolve()),
        }
    parity = read_json(artifact / ArtifactFiles.PARITY)
    bench = read_json(artifact / ArtifactFiles.BENCH)
    latency = bench["latency_ms"]
    summary["parity"] = {"agreement": parity["agreement"], "passed": parity["passed"], "file": "artifact/parity.json"}
    summary["bench"] = {"p50_ms": latency["p50"], "p99_ms": latency["p99"], "file": "artifact/bench.json"}
    summary["labelled_frames"] = LABELLED_FRAMES
    summary["pictures"] = _pictures(out)
    return summary


def _pictures(out: Path) -> list[dict[str, str]]:
    """Validation frames spread over the set, with the label pictures that `segkd eval` wrote for each run."""
    from segkd.data import open_dataset

    dataset = open_dataset(f"cityscapes:{out / 'data'}", split="val")
    stride = max(1, len(dataset) // NUM_PICTURES)
    rows = []
    for index in range(0, stride * min(NUM_PICTURES, len(dataset)), stride):
        name, mask = dataset.ids[index], dataset.mask_path(index)
        row = {"id": name, "image": str(dataset.image_path(index).relative_to(out))}
        row["truth"] = str(mask.relative_to(out)) if mask else ""
        row |= {run: f"predictions/{run}/{name}_pred_labelIds.png" for run in ("student", "distilled", "teacher")}
        rows.append(row)
    return rows


def _write(path: Path, value: dict[str, Any]) -> None:
    from segkd.files import write_json

    write_json(path, value)


def print_summary(out: Path, summary: dict[str, Any]) -> None:
    """The result, for people, on standard output."""
    for name in ("teacher", "student", "distilled"):
        row = summary[name]
        size, seconds = f"{row['params']:>9,} parameters", f"{row['seconds']:6.1f} s training"
        click.echo(f"{name:<10} mIoU {100 * row['miou']:5.1f}   {size}   {seconds}")
    bench, parity = summary["bench"], summary["parity"]
    click.echo(f"agreement of the graph with torch {parity['agreement']:.6f}")
    click.echo(f"latency on this machine p50 {bench['p50_ms']:.2f} ms, p99 {bench['p99_ms']:.2f} ms")
    release = summary["release"]
    if "postponed" in release:
        click.echo(f"release postponed: {release['postponed']}")
    else:
        click.echo(f"release {'passed' if release['passed'] else 'FAILED'} its gates")
    click.echo(verdict(summary))
    click.echo(f"report: {out / 'report.html'}")
    sys.stdout.flush()
