"""What the metrics cost: CPU time per image, beside scikit-learn, torchmetrics and plain numpy.

    python benchmarks/metrics.py                      2 megapixels, 19 classes
    python benchmarks/metrics.py --imgsz 512x512 --classes 150
    python benchmarks/metrics.py --quick --json       one round, for machines to read

Libraries that are not installed are left out, and named. Every job sees the same images: smooth regions, 5 % of the
pixels of noise, an ignored band. The counts of all confusion matrices must agree, or the benchmark fails. Times are
medians of interleaved rounds, in CPU milliseconds over all threads; the bar is 5 ms for the confusion matrix of 2
megapixels.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.metrics import BoundaryF, BoundaryIoU, ConfusionMatrix, Connectivity, Trimap
from segkd.options import parse_size

BAR_MS, BAR_PIXELS = 5.0, 1024 * 2048
Labels = NDArray[np.uint8]
Job = Callable[[Labels, Labels], Any]


def make_image(seed: int, size: tuple[int, int], classes: int) -> tuple[Labels, Labels]:
    """Prediction and truth of an image."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.standard_normal(size).astype(np.float32), (0, 0), max(2, min(size) / 40))
    edges = np.quantile(smooth, np.linspace(0, 1, classes + 1)[1:-1])
    truth = np.digitize(smooth, edges).astype(np.uint8)
    prediction = np.roll(truth, 2, axis=1)
    noisy = rng.random(size) < 0.05
    prediction[noisy] = rng.integers(0, classes, int(noisy.sum()))
    truth[: size[0] // 25] = 255
    return prediction, truth


def confusion_jobs(classes: int) -> dict[str, Job]:
    """Name -> counts (K, K) of an image."""

    def ours(prediction: Labels, truth: Labels) -> Any:
        matrix = ConfusionMatrix(classes)
        matrix.update(prediction, truth)
        return matrix.counts[:, :-1]

    def plain_numpy(prediction: Labels, truth: Labels) -> Any:
        valid = truth != 255
        joint = classes * truth[valid].astype(np.int64) + prediction[valid]
        return np.bincount(joint, minlength=classes**2).reshape(classes, classes)

    jobs = {"ours": ours, "numpy": plain_numpy}
    if importlib.util.find_spec("sklearn"):
        from sklearn.metrics import confusion_matrix

        def sklearn(prediction: Labels, truth: Labels) -> Any:
            valid = truth != 255
            return confusion_matrix(truth[valid], prediction[valid], labels=range(classes))

        jobs["sklearn"] = sklearn
    if importlib.util.find_spec("torchmetrics"):
        import torch
        from torchmetrics.classification import MulticlassConfusionMatrix

        def torchmetrics(prediction: Labels, truth: Labels) -> Any:
            metric = MulticlassConfusionMatrix(classes, ignore_index=255, validate_args=False)
            metric.update(torch.from_numpy(prediction).long(), torch.from_numpy(truth).long())
            return metric.compute().numpy()

        jobs["torchmetrics"] = torchmetrics
    return jobs


def measure_jobs(classes: int) -> dict[str, Job]:
    """The other measures, each with its usual parameters."""
    makers: dict[str, Callable[[], Any]] = {
        "trimap 3 px": lambda: Trimap(classes, (3,)),
        "trimap 1,2,3,5,10 px": lambda: Trimap(classes, (1, 2, 3, 5, 10)),
        "boundary IoU 0.02": lambda: BoundaryIoU(classes, 0.02),
        "boundary F 3 px": lambda: BoundaryF(classes, 3),
        "connectivity": lambda: Connectivity(classes),
    }
    return {name: (lambda p, t, make=make: make().update(p, t)) for name, make in makers.items()}


def interleaved(jobs: dict[str, Job], images: list[tuple[Labels, Labels]], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds per image of every job, one sample a round; every other round runs in the opposite order."""
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job(*images[0])
    for number in range(rounds):
        for name in list(jobs) if number % 2 == 0 else list(reversed(jobs)):
            began = time.process_time()
            for image in images:
                jobs[name](*image)
            samples[name].append((time.process_time() - began) * 1e3 / len(images))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return samples


def check_agreement(jobs: dict[str, Job], image: tuple[Labels, Labels]) -> None:
    """Raise SystemExit where two libraries count differently."""
    expected = jobs["ours"](*image)
    for name, job in jobs.items():
        if not np.array_equal(job(*image), expected):
            raise SystemExit(f"{name} counts otherwise than ours")


def run(size: tuple[int, int], classes: int, rounds: int) -> dict[str, Any]:
    """Everything, as printed by ``--json``."""
    images = [make_image(seed, size, classes) for seed in range(2)]
    confusion = confusion_jobs(classes)
    check_agreement(confusion, images[0])
    samples = interleaved({**confusion, **measure_jobs(classes)}, images, rounds)
    medians = {name: round(statistics.median(values), 3) for name, values in samples.items()}
    bar_ms = BAR_MS * size[0] * size[1] / BAR_PIXELS
    return {
        "imgsz": list(size),
        "classes": classes,
        "rounds": rounds,
        "missing": [name for name in ("sklearn", "torchmetrics") if name not in confusion],
        "confusion_ms": {name: medians[name] for name in confusion},
        "ratio": {name: round(medians[name] / medians["ours"], 1) for name in confusion if name != "ours"},
        "measures_ms": {name: medians[name] for name in medians if name not in confusion},
        "bar_ms": round(bar_ms, 3),
        "meets": medians["ours"] < bar_ms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgsz", type=parse_size, default=(1024, 2048), metavar="HxW")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = run(arguments.imgsz, arguments.classes, 1 if arguments.quick else arguments.rounds)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    height_px, width_px = result["imgsz"]
    print(f"CPU ms per image of {height_px}x{width_px}, {result['classes']} classes, median of {result['rounds']}")
    for name, ms in result["confusion_ms"].items():
        ratio = f"  ({result['ratio'][name]:g} times ours)" if name != "ours" else ""
        print(f"confusion matrix, {name:<14} {ms:8.2f}{ratio}")
    for name, ms in result["measures_ms"].items():
        print(f"{name:<32} {ms:8.2f}")
    print(f"bar: {result['bar_ms']:g} ms, {'met' if result['meets'] else 'NOT met'}")
    for name in result["missing"]:
        print(f"not installed, left out: {name}")


if __name__ == "__main__":
    main()
