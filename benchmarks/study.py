"""What distillation brings: {drawings, CamVid} x {few, all} labels x methods x how they are weighted x seeds.

Every cell is an ordinary `segkd train` or `segkd distill` run; finished runs are kept, so that the command can be
stopped, repeated and extended:

    python benchmarks/study.py --out runs/study --methods all --weights balanced --labels few --seeds 1,2,3
    python benchmarks/study.py --out runs/camvid --data camvid:CAMVID --teacher TEACHER --frames ::10 \\
        --set augment.crop=160x208 --iters 1500 --methods cwd,bpkd --weights published,balanced

Without `--data`, the street scenes of `segkd data synth` and a teacher of the recipe `quickstart-teacher`. `--weights`:
`published` (the terms as they are), `labelled` (balanced, no labels of the teacher on unlabelled frames), `balanced`
(with them, which is what `segkd distill` does). Intervals: 95 % of the difference to the student alone, bootstrap over
validation images and seeds together, each draw the same for both sides. `--equal-time METHOD` also trains the student
alone for as long as that method's runs took.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FEW_FRAMES = ":20"
ALONE = "student alone"
# What `--methods NAME` stands for with each of `--weights`.
SPELLINGS = {"published": "{name}:1", "labelled": "{name}", "balanced": "{name}"}
# cirkd as published takes most of half an hour a run here: its cost grows with the fourth power of the grid.
POOLED = {"cirkd": "{cirkd: {pool: 2%s}}"}
DRAWS = 1000


@dataclass(frozen=True)
class Setting:
    """What all cells of a study share."""

    out: Path
    data: str
    teacher: str
    frames: str
    iters: int
    threads: int
    extra: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One training run."""

    method: str
    weights: str
    labels: str
    seed: int
    iters: int | None = None
    """None for the setting's."""

    @property
    def name(self) -> str:
        """The folder of its run."""
        words = (self.labels, self.method.replace(" ", "_"), self.weights, str(self.seed))
        return "-".join(words if self.iters is None else (*words, str(self.iters)))


def segkd(*words: str) -> None:
    """Run a segkd command."""
    subprocess.run([sys.executable, "-m", "segkd", *words], check=True, stdout=subprocess.DEVNULL)


def finished(run: Path) -> bool:
    """Whether a run has ended with its last evaluation."""
    record = run / "run.json"
    return record.exists() and bool(json.loads(record.read_text()).get("finished"))


def method_words(cell: Cell) -> list[str]:
    """The options that choose a method and how it is weighted."""
    weight = ", weight: 1" if cell.weights == "published" else ""
    if cell.method in POOLED:
        words = ["--set", f"methods=[{POOLED[cell.method] % weight}]"]
    else:
        spelled = SPELLINGS[cell.weights] if cell.method.isalnum() else "{name}"
        words = ["--method", spelled.format(name=cell.method)]
    return words if cell.weights == "balanced" else [*words, "--set", "teacher.pseudo_labels=null"]


def train(cell: Cell, setting: Setting) -> Path:
    """Train a cell unless it is finished, and evaluate it image by image; its run folder."""
    run = setting.out / cell.name
    if not finished(run):
        few = cell.labels == "few"
        words = ["--data", f"{setting.data},frames={setting.frames}" if few else setting.data, "--val", setting.data]
        words += [
            "--recipe",
            "quickstart-student",
            "--seed",
            str(cell.seed),
            "--iters",
            str(cell.iters or setting.iters),
        ]
        words += ["--threads", str(setting.threads), "--out", str(run), *setting.extra]
        words += ["--resume"] if (run / "last.ckpt").exists() else []
        if cell.method == ALONE:
            segkd("train", *words)
        else:
            unlabelled = ["--unlabelled", setting.data] if few else []
            segkd("distill", *words, *unlabelled, "--teacher", setting.teacher, *method_words(cell))
    if not (run / "eval" / "images.npz").exists():
        per_image(run, setting.data)
    return run


def per_image(run: Path, data: str) -> None:
    """Write the confusion matrix of every validation image, for the bootstrap."""
    import torch

    from segkd.data import open_dataset
    from segkd.metrics import ConfusionMatrix
    from segkd_distill.models.saved_model import load_run

    model, val = load_run(run).model.eval(), open_dataset(data, split="val")
    counts = []
    with torch.inference_mode():
        for index in range(len(val)):
            sample = val.read(index)
            image = torch.from_numpy(sample.image).permute(2, 0, 1)[None]
            labels = model.upsample(model(image).logits, sample.mask.shape).argmax(1)[0]
            matrix = ConfusionMatrix(val.labels.num_classes)
            matrix.update(labels.numpy(), sample.mask)
            counts.append(matrix.counts)
    (run / "eval").mkdir(exist_ok=True)
    np.savez_compressed(run / "eval" / "images.npz", counts=np.stack(counts))


def miou(counts: np.ndarray) -> float:
    """Mean IoU in points of summed counts (K, K + 1); classes that are nowhere do not count."""
    square = counts[:, :-1]
    union = counts.sum(1) + square.sum(0) - square.diagonal()
    present = union > 0
    return float(100 * (square.diagonal()[present] / union[present]).mean())


def interval(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> tuple[float, float]:
    """95 % interval of the difference of mean mIoU, over images and seeds.

    Args:
        ours: per seed, (images, K, K + 1).
        theirs: the same seeds and images of the student alone.
    """
    rng, images = np.random.default_rng(0), len(ours[0])
    differences = []
    for _ in range(DRAWS):
        drawn = np.bincount(rng.integers(0, images, images), minlength=images)
        seeds = rng.integers(0, len(ours), len(ours))
        pairs = [(np.tensordot(drawn, ours[s], 1), np.tensordot(drawn, theirs[s], 1)) for s in seeds]
        differences.append(statistics.mean(miou(a) - miou(b) for a, b in pairs))
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def prepare(out: Path, threads: int) -> tuple[str, str]:
    """The built-in data and their teacher."""
    data, teacher = out / "data", out / "teacher"
    if not data.exists():
        segkd("data", "synth", "--out", str(data), "--train", "600", "--val", "100", "--seed", "1")
    if not finished(teacher):
        words = ["--data", f"cityscapes:{data}", "--seed", "1", "--threads", str(threads), "--out", str(teacher)]
        words += ["--resume"] if (teacher / "last.ckpt").exists() else []
        segkd("train", "--recipe", "quickstart-teacher", *words)
    return f"cityscapes:{data}", str(teacher)


def rows_of(args: argparse.Namespace, setting: Setting, labels: str) -> list[dict[str, Any]]:
    """Train what is missing of one label setting; the table's rows."""
    from segkd_distill.methods import METHODS

    methods = list(METHODS) if args.methods == "all" else args.methods.split(",")
    kinds = [(ALONE, "balanced"), *((m, w) for w in args.weights.split(",") for m in methods)]
    seeds = [int(seed) for seed in args.seeds.split(",")]
    cells = [Cell(method, weights, labels, seed) for seed in seeds for method, weights in kinds]
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = dict(zip(cells, pool.map(lambda cell: train(cell, setting), cells), strict=True))

    if args.equal_time:
        cells += equal_time(args.equal_time, labels, seeds, runs, setting)
        runs |= {cell: train(cell, setting) for cell in cells if cell not in runs}
        kinds.insert(1, (ALONE, "equal time"))

    counts = {(c.method, c.weights, c.seed): np.load(runs[c] / "eval" / "images.npz")["counts"] for c in cells}
    alone = [counts[ALONE, "balanced", seed] for seed in seeds]
    base = statistics.mean(miou(each.sum(0)) for each in alone)
    rows: list[dict[str, Any]] = []
    for method, weights in kinds:
        own = [counts[method, weights, seed] for seed in seeds]
        scores = [miou(each.sum(0)) for each in own]
        row = {"method": method, "weights": weights, "seeds": scores, "miou": statistics.mean(scores)}
        if (method, weights) != (ALONE, "balanced"):
            row |= {"gain": statistics.mean(scores) - base, "interval": interval(own, alone)}
        rows.append(row)
    return rows


def equal_time(method: str, labels: str, seeds: list[int], runs: dict[Cell, Path], setting: Setting) -> list[Cell]:
    """The student alone for as many steps as it does in the time that a method's runs took."""

    def seconds(name: str) -> float:
        own = [run for cell, run in runs.items() if (cell.method, cell.weights) == (name, "balanced")]
        return statistics.median(json.loads((run / "run.json").read_text())["seconds"]["train"] for run in own)

    iters = round(setting.iters * seconds(method) / seconds(ALONE) / 10) * 10
    return [Cell(ALONE, "equal time", labels, seed, iters) for seed in seeds]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| method | weights | mIoU (seeds) | to the student alone, 95 % |", "|---|---|---|---|"]
    for row in rows:
        singles = " ".join(f"{score:.1f}" for score in row["seeds"])
        weights, gain = "", ""
        if "gain" in row:
            weights, gain = row["weights"], "{:+.1f} [{:+.1f}, {:+.1f}]".format(row["gain"], *row["interval"])
        lines.append(f"| {row['method']} | {weights} | **{row['miou']:.1f}** ({singles}) | {gain} |")
    return "\n".join(lines)


def main() -> None:
    """Parse, train what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", help="NAME:PATH; by default the built-in street scenes")
    parser.add_argument("--teacher", help="a run; needed with --data")
    parser.add_argument("--frames", default=FEW_FRAMES, help="the frames with labels of the setting `few`")
    parser.add_argument("--methods", default="cwd,kd,bpkd", help="names separated by commas, or all")
    parser.add_argument("--weights", default="balanced", help="published, labelled, balanced; separated by commas")
    parser.add_argument("--labels", default="few,all")
    parser.add_argument("--equal-time", metavar="METHOD", help="also train the student alone for a method's time")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--iters", type=int, default=700)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="per run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.data and not args.teacher:
        parser.error("--data needs --teacher RUN, trained on the same classes")
    data, teacher = (args.data, args.teacher) if args.data else prepare(args.out, args.threads * args.jobs)
    extra = tuple(word for value in args.set for word in ("--set", value))
    setting = Setting(args.out, data, teacher, args.frames, args.iters, args.threads, extra)
    tables = {labels: rows_of(args, setting, labels) for labels in args.labels.split(",")}
    if args.json:
        print(json.dumps(tables))
    else:
        print("\n\n".join(f"{labels} labels\n\n{table(rows)}" for labels, rows in tables.items()))


if __name__ == "__main__":
    main()
