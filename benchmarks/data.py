"""Images per second and core of everything that makes a training batch, against a plain albumentations pipeline.

    python benchmarks/data.py [--imgsz 1024x2048] [--crop 512x1024] [--repeats 15] [--json]

Street scenes are written as PNG files, decoded into a cache, and read by one thread. Rounds of all rows are
interleaved; a row is the median of their CPU times. The plain pipeline has mmsegmentation's order: scale the whole
picture, crop, flip, colours, normalise, to tensor; it reads the same cache. segkd's pipelines end in uint8: colours and
normalisation belong to the device, so the row `device part on this CPU` says what that would cost here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are loaded
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
import torch

from segkd.data.base import IGNORE, Dataset, open_dataset
from segkd.data.cache import open_cached
from segkd.data.street_scenes import write_tree
from segkd.options import parse_size
from segkd_distill.data.geometry import Geometry
from segkd_distill.data.loader import BatchSource, Rows
from segkd_distill.data.photometric import distort, draw_distortion
from segkd_distill.data.user_transforms import UserTransforms

IMAGES, BATCH = 8, 4
PLAIN, PLAIN_GEOMETRY, OURS = "plain albumentations", "plain albumentations, geometry alone", "segkd mmseg"
TARGET = 3.0
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def plain_batches(data: Dataset, crop: tuple[int, int], *, colours: bool) -> Callable[[int], Any]:
    """Batches as mmsegmentation's order gives them with albumentations alone."""
    from albumentations.pytorch import ToTensorV2

    transforms: list[Any] = [
        A.RandomScale(scale_limit=(-0.5, 1.0), interpolation=cv2.INTER_LINEAR, p=1),
        A.RandomCrop(*crop, pad_if_needed=True, pad_position="top_left", fill=0, fill_mask=IGNORE),
        A.HorizontalFlip(p=0.5),
    ]
    if colours:
        transforms += [
            A.RandomBrightnessContrast(brightness_limit=(-32 / 255, 32 / 255), contrast_limit=(0, 0), p=0.5),
            A.ColorJitter(brightness=(1, 1), contrast=(0.5, 1.5), saturation=(0.5, 1.5), hue=(-0.1, 0.1), p=0.5),
            A.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
            ToTensorV2(),
        ]
    compose = A.Compose(transforms, seed=0)

    def batch(number: int) -> Any:
        images, masks = [], []
        for row in range(BATCH):
            image, mask, _ = data.read((number * BATCH + row) % len(data))
            result = compose(image=image, mask=mask)
            images.append(result["image"])
            masks.append(result["mask"])
        if colours:
            return torch.stack(images), torch.stack(masks)
        return np.stack(images), np.stack(masks)

    return batch


def device_batches(source: BatchSource) -> Callable[[int], Any]:
    """What is left to the device: colours and normalisation of a batch that is there already."""
    images = source[0].images
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))

    def batch(number: int) -> Any:
        distorted = distort(images, draw_distortion(np.random.default_rng(number), len(images)))
        return (distorted - mean) / std

    return batch


def reading(data: Dataset) -> Callable[[int], Any]:
    """Whole samples, every pixel touched."""

    def batch(number: int) -> Any:
        samples = [data.read((number * BATCH + row) % len(data)) for row in range(BATCH)]
        return [(sample.image.copy(), sample.mask.copy()) for sample in samples]

    return batch


def jobs(files: Dataset, cached: Dataset, crop: tuple[int, int]) -> dict[str, Callable[[int], Any]]:
    """All rows: each makes the batch of a number."""

    def ours(data: Dataset, geometry: Geometry | UserTransforms) -> BatchSource:
        return BatchSource(data, None, rows=Rows(BATCH, 0), geometry=geometry, seed=0)

    mmseg = Geometry(crop=crop)
    cut = {"height": crop[0], "width": crop[1], "pad_if_needed": True}
    scale = {"scale_limit": [-0.5, 1.0], "p": 1.0}
    own = UserTransforms(crop, [{"RandomScale": scale}, {"RandomCrop": cut}, {"HorizontalFlip": {}}])
    return {
        "decode PNG": reading(files),
        "read the cache": reading(cached),
        PLAIN: plain_batches(cached, crop, colours=True),
        PLAIN_GEOMETRY: plain_batches(cached, crop, colours=False),
        OURS: ours(cached, mmseg).__getitem__,
        "segkd cirkd": ours(cached, Geometry(crop=crop, scale_step=0.1, cat_max_ratio=1.0)).__getitem__,
        "segkd attnfd": ours(cached, Geometry(crop=crop, short_side=crop[0], cat_max_ratio=1.0)).__getitem__,
        "segkd, own transforms (scale first)": ours(cached, own).__getitem__,
        "device part on this CPU": device_batches(ours(cached, mmseg)),
        f"{PLAIN}, from PNG": plain_batches(files, crop, colours=True),
        f"{OURS}, from PNG": ours(files, mmseg).__getitem__,
    }


def measure(rows: dict[str, Callable[[int], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Median CPU time per image of every row, over interleaved rounds; the first batch of each warms up."""
    samples: dict[str, list[float]] = {name: [] for name in rows}
    for name, batch in rows.items():
        print(f"warming up: {name}", file=sys.stderr)
        batch(0)
    for repeat in range(repeats):
        print(f"round {repeat + 1} of {repeats}", file=sys.stderr)
        for name in list(rows) if repeat % 2 == 0 else list(reversed(rows)):
            before = time.process_time()
            rows[name](repeat + 1)
            samples[name].append((time.process_time() - before) * 1e3 / BATCH)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    return {
        name: {
            "cpu_ms": round(median, 3),
            "images_per_s": round(1e3 / max(median, 1e-6), 1),
            "speedup": round(medians[PLAIN] / max(median, 1e-6), 2),
        }
        for name, median in medians.items()
    }


def main() -> None:
    """Parse, write the pictures, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgsz", type=parse_size, default=(1024, 2048), metavar="HxW")
    parser.add_argument("--crop", type=parse_size, default=(512, 1024), metavar="HxW")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        write_tree(tree, IMAGES, 1, options.imgsz, 0)
        files = open_dataset(f"cityscapes:{tree}", split="train")
        cached = open_cached(files, Path(folder) / "cache", "benchmark")
        results = measure(jobs(files, cached, options.crop), options.repeats)
    factor = results[OURS]["speedup"]
    if options.json:
        print(json.dumps({"imgsz": options.imgsz, "crop": options.crop, "rows": results, "speedup": factor}, indent=2))
        return
    print(f"{'row':<42} {'ms CPU':>8} {'images/s/core':>14} {'x plain':>8}")
    for name, row in results.items():
        print(f"{name:<42} {row['cpu_ms']:>8.2f} {row['images_per_s']:>14.0f} {row['speedup']:>8.2f}")
    print(f"{OURS} from the cache: {factor:.2f} times the plain pipeline (target: {TARGET:g})")


if __name__ == "__main__":
    main()
