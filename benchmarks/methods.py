"""What distillation brings on the built-in street scenes: methods x {few, all} labels x seeds, as a Markdown table.

Every cell is an ordinary `segkd train` or `segkd distill` run; finished runs are kept, so that the command can be
repeated and extended:

    python benchmarks/methods.py --out runs/methods --methods kd,cwd,kd+cwd --seeds 1,2,3 --jobs 2 --threads 1

Rows: the student alone; the student alone for as long as the runs of one method took (equal time; by default the
slowest); each method. All at the iterations of the recipe `quickstart-student`, from the same teacher (recipe
`quickstart-teacher`, all labels). `--methods all` runs the whole table of methods and the variants listed below.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LABELLED_FRAMES = 20
LABELS = {"few": f"{LABELLED_FRAMES} labelled + unlabelled frames", "all": "all 600 labelled"}
ALONE, EQUAL_TIME = "student alone", "student alone, equal time"
# Rows that need more than a name: what a method's page advises for these networks, or for few labels.
VARIANTS = {
    "cirkd, features pooled to stride 8": "[{cirkd: {pool: 2}}]",
    "attnfd, connectors learn to the end": "[{attnfd: {freeze_connectors: false}}]",
    "kd + ifvd without its own kd": "[kd, {ifvd: {kd_weight: 0}}]",
}


@dataclass(frozen=True)
class Cell:
    """One training run of the table."""

    method: str
    labels: str
    seed: int
    iters: int

    def folder(self, out: Path) -> Path:
        """Where its run lies."""
        return out / f"{self.labels}-{self.method.replace(' ', '_').replace(',', '')}-{self.seed}"


def segkd(*words: str) -> None:
    """Run a segkd command; its progress goes to a log beside the run."""
    subprocess.run([sys.executable, "-m", "segkd", *words], check=True, stdout=subprocess.DEVNULL)


def train(cell: Cell, out: Path, threads: int) -> dict[str, float]:
    """Train a cell unless it is finished; returns its mIoU (points) and seconds."""
    folder, data = cell.folder(out), f"cityscapes:{out / 'data'}"
    if not finished(folder):
        few = cell.labels == "few"
        labelled = f"{data},frames=:{LABELLED_FRAMES}" if few else data
        words = ["--recipe", "quickstart-student", "--data", labelled, "--val", data, "--seed", str(cell.seed)]
        words += ["--iters", str(cell.iters), "--threads", str(threads), "--out", str(folder)]
        if (folder / "last.ckpt").exists():
            words.append("--resume")
        if cell.method in (ALONE, EQUAL_TIME):
            segkd("train", *words)
        else:
            if few:
                words += ["--unlabelled", f"{data},frames={LABELLED_FRAMES}:"]
            variant = VARIANTS.get(cell.method)
            method = ("--set", f"methods={variant}") if variant else ("--method", cell.method)
            segkd("distill", *words, "--teacher", str(out / "teacher"), *method)
    record = json.loads((folder / "run.json").read_text())
    return {"miou": 100 * record["eval"]["miou"], "seconds": record["seconds"]["train"]}


def finished(folder: Path) -> bool:
    """Whether a run has ended with its last evaluation."""
    record = folder / "run.json"
    return record.exists() and json.loads(record.read_text()).get("finished", False)


def prepare(out: Path, threads: int) -> float:
    """Make the data and the teacher; returns the teacher's mIoU in points."""
    if not (out / "data").exists():
        segkd("data", "synth", "--out", str(out / "data"), "--train", "600", "--val", "100", "--seed", "1")
    if not finished(out / "teacher"):
        words = ["--data", f"cityscapes:{out / 'data'}", "--seed", "1", "--threads", str(threads)]
        resume = ["--resume"] if (out / "teacher" / "last.ckpt").exists() else []
        segkd("train", "--recipe", "quickstart-teacher", *words, "--out", str(out / "teacher"), *resume)
    record = json.loads((out / "teacher" / "run.json").read_text())
    return 100 * record["eval"]["miou"]


def table(rows: dict[str, dict[str, list[dict[str, float]]]], labels: list[str]) -> str:
    """Markdown: one row per method, mean and single seeds per label setting."""
    lines = ["| method | " + " | ".join(f"{LABELS[name]}: mIoU (seeds), training s" for name in labels) + " |"]
    lines.append("|---" * (len(labels) + 1) + "|")
    for method, cells in rows.items():
        parts = []
        for name in labels:
            runs = cells[name]
            mean = statistics.mean(run["miou"] for run in runs)
            singles = " ".join(f"{run['miou']:.1f}" for run in runs)
            gain = mean - statistics.mean(run["miou"] for run in rows[ALONE][name])
            seconds = statistics.median(run["seconds"] for run in runs)
            parts.append(f"**{mean:.1f}** ({singles}) {gain:+.1f}, {seconds:.0f} s")
        lines.append(f"| {method} | " + " | ".join(parts) + " |")
    return "\n".join(lines)


def chosen_methods(text: str) -> list[str]:
    """The rows' names behind ``--methods``."""
    if text != "all":
        return text.split(",")
    from segkd_distill.methods import METHODS

    # As published, cirkd takes a quarter of an hour per run here: its cost grows with the fourth power of the grid.
    return [*(name for name in METHODS if name != "cirkd"), "cwd:2", *VARIANTS]


def main() -> None:
    """Parse, train what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", default="kd,cwd,kd+cwd", help="names with weights, separated by commas, or all")
    parser.add_argument("--equal-time", metavar="METHOD", help="the method whose training time the student alone gets")
    parser.add_argument("--labels", default="few,all")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--iters", type=int, default=700)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="per run")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    methods, labels = chosen_methods(args.methods), args.labels.split(",")
    seeds = [int(seed) for seed in args.seeds.split(",")]
    teacher = prepare(args.out, args.threads * args.jobs)

    def run(names: list[str], iters: int) -> dict[str, dict[str, list[dict[str, float]]]]:
        cells = [Cell(name, setting, seed, iters) for seed in seeds for name in names for setting in labels]
        with ThreadPoolExecutor(args.jobs) as pool:
            results = dict(zip(cells, pool.map(lambda cell: train(cell, args.out, args.threads), cells), strict=True))
        return {
            name: {setting: [results[Cell(name, setting, seed, iters)] for seed in seeds] for setting in labels}
            for name in names
        }

    rows = run([ALONE, *methods], args.iters)
    seconds = {
        name: statistics.median(run["seconds"] for setting in labels for run in cells[setting])
        for name, cells in rows.items()
    }
    allowance = seconds[args.equal_time] if args.equal_time else max(seconds[name] for name in methods)
    equal = round(args.iters * allowance / seconds[ALONE] / 10) * 10
    rows = {ALONE: rows[ALONE], **run([EQUAL_TIME], equal), **{name: rows[name] for name in methods}}
    if args.json:
        print(json.dumps({"teacher": teacher, "iters": args.iters, "equal_time_iters": equal, "rows": rows}))
    else:
        print(f"teacher {teacher:.1f} mIoU; {args.iters} iterations, equal time {equal} iterations\n")
        print(table(rows, labels))


if __name__ == "__main__":
    main()
