"""The work of ``segkd eval``: a source, a data set and a protocol become one result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset, Sample, open_dataset, parse_spec
from segkd.data.layout.paired_files import BlankMasks, PairedFiles
from segkd.data.remarks import absent_classes, few_images
from segkd.errors import SegkdError
from segkd.evaluation.loop import evaluate_set
from segkd.evaluation.prediction_files import PredictionWriter
from segkd.evaluation.predictor import Inference
from segkd.evaluation.protocols import Protocol, protocol_of, two_thirds
from segkd.evaluation.sources import Request, default_crop, default_data, kind_of, open_source
from segkd.evaluation.worst_images import WorstImages
from segkd.files import write_json
from segkd.metrics import Areas, MetricOptions, MetricSuite
from segkd.metrics.scores import areas


@dataclass(frozen=True)
class Job:
    """An evaluation.

    Attributes:
        source: a run folder, a weights file, an artifact folder, or a name that an adapter opens.
        data: ``NAME:PATH``; None for a run's own validation data.
        split: the split of the data.
        model: the architecture of a weights file.
        variant: the variant of an artifact.
        provider: the provider of an artifact's runtime.
        device: where a network runs.
        threads: CPU threads; None for the library's own number.
        protocol: whose rules; None for full resolution with mmsegmentation's means.
        mode: the whole image at once, or a sliding window.
        crop: the window's height and width; None for the size that a run was trained for.
        stride: vertical and horizontal distance of windows; None for two thirds of the crop.
        scales: factors of the image size that are averaged.
        flip: whether mirrored images are averaged with the others.
        test_scale: short side and limit of the long side; None for what the protocol says.
        metrics: what to measure beside IoU and accuracy.
        save_predictions: folder for predicted label maps.
        worst: how many of the worst images to draw.
        out: folder for ``eval.json`` and the worst images.
        class_map: class of the network -> class of the data, None for one that is left out.
        fit: how images reach a network that takes one size only.
    """

    source: str
    data: str | None = None
    split: str = "val"
    model: str | None = None
    variant: str | None = None
    provider: str = "cpu"
    device: str = "auto"
    threads: int | None = None
    protocol: str | None = None
    mode: Literal["whole", "slide"] = "whole"
    crop: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    test_scale: tuple[int, int] | None = None
    metrics: MetricOptions = field(default_factory=MetricOptions)
    save_predictions: Path | None = None
    worst: int = 0
    out: Path | None = None
    class_map: Mapping[str, str | None] | None = None
    fit: Literal["tile", "resize"] | None = None


def score(job: Job) -> dict[str, Any]:
    """Evaluate.

    Returns:
        What ``segkd eval --json`` prints; with ``out``, ``eval.json`` also has each image's own scores.

    Raises:
        SegkdError: if source or data cannot be read, their classes differ, or settings contradict each other.
        BackendMissing: if a device or runtime is not there.
    """
    if job.worst and job.out is None:
        raise SegkdError("--worst writes pictures: say where with --out DIR")
    kind = kind_of(job.source, job.model)
    spec = job.data if job.data is not None else default_data(job.source)
    protocol = protocol_of(job.protocol)
    inference = inference_of(job, protocol, parse_spec(spec)[0])
    dataset = open_dataset(spec, split=job.split)
    if not dataset.has_masks:
        return _label_only(job, dataset, spec, protocol, inference)
    # Before the network is opened: a measure may have no use for its parameter.
    options = replace(job.metrics, absent=protocol.absent)
    suite = MetricSuite(dataset.labels.names, dataset.labels.ignore, options)
    with open_source(_request(job, dataset, inference)) as predictor:
        _check_classes(predictor.class_names, dataset, spec)
        outputs = _Outputs(job, dataset, parse_spec(spec)[0])
        with _progress(len(dataset)) as advance:
            evaluate_set(predictor, dataset, suite, protocol=protocol, on_prediction=outputs.take, on_progress=advance)
        result = {
            **suite.to_dict(),
            "classes": list(dataset.labels.names),
            "data": spec,
            "split": job.split,
            "fingerprint": dataset.fingerprint(),
            "images": len(dataset),
            "notes": _notes(dataset, suite),
            "protocol": _describe(protocol, inference),
            "kind": kind,
            **predictor.describe(),
        }
    return outputs.finish(result, suite)


def _label_only(job: Job, dataset: Dataset, spec: str, protocol: Protocol, inference: Inference) -> dict[str, Any]:
    """Write predictions of images whose labels are not public; there is no score.

    Raises:
        SegkdError: if no predictions are asked for, something else is, or the data set has no classes of its own.
    """
    if job.save_predictions is None or not isinstance(dataset, PairedFiles):
        raise SegkdError(
            f"{spec} has no labels to evaluate against; name data with masks, or label the frames: of a test split "
            "with --save-predictions DIR, others with `segkd predict`"
        )
    asked = replace(job.metrics, bootstrap_images=0, seed=0, void_borders=True) != MetricOptions()
    if asked or job.worst or job.out is not None or protocol.scored_short_px is not None:
        raise SegkdError(
            f"{spec} has no labels: --save-predictions works; measures (--detail, --trimap, --bootstrap, ...), "
            "--worst, --out and --protocol attnfd do not"
        )
    blank = BlankMasks(dataset)
    suite = MetricSuite(dataset.labels.names, dataset.labels.ignore)
    with open_source(_request(job, dataset, inference)) as predictor:
        _check_classes(predictor.class_names, dataset, spec)
        outputs = _Outputs(job, dataset, parse_spec(spec)[0])
        with _progress(len(dataset)) as advance:
            evaluate_set(predictor, blank, suite, protocol=protocol, on_prediction=outputs.take, on_progress=advance)
    return {"data": spec, "split": job.split, "images": len(dataset), "predictions": str(job.save_predictions)}


def _request(job: Job, dataset: Dataset, inference: Inference) -> Request:
    return Request(
        source=job.source,
        labels=dataset.labels,
        inference=inference,
        model=job.model,
        variant=job.variant,
        provider=job.provider,
        device=job.device,
        threads=job.threads,
        class_map=job.class_map,
        fit=job.fit,
    )


def inference_of(job: Job, protocol: Protocol, dataset: str) -> Inference:
    """How a job's images become labels.

    Args:
        job: the job.
        protocol: its protocol.
        dataset: name of its data set.

    Raises:
        SegkdError: for settings that contradict each other.
    """
    crop, stride = job.crop, job.stride
    if job.mode == "slide":
        crop = crop or default_crop(job.source)
        stride = stride or two_thirds(crop)
    if job.test_scale is not None and protocol.scored_short_px is not None:
        raise SegkdError(f"protocol {protocol.name} resizes images and labels itself; leave out --test-scale")
    return Inference(
        mode=job.mode,
        crop=crop,
        stride=stride,
        scales=job.scales,
        flip=job.flip,
        test_scale=job.test_scale or protocol.test_scale(dataset),
        align_corners=protocol.align_corners,
        average=protocol.average,
    )


class _Outputs:
    """What an evaluation writes."""

    def __init__(self, job: Job, dataset: Dataset, name: str) -> None:
        self._out = job.out
        self._worst = WorstImages(job.worst, dataset.labels) if job.worst else None
        folder = job.save_predictions
        self._writer = PredictionWriter(folder, dataset, name) if folder is not None else None

    def take(self, index: int, sample: Sample, prediction: NDArray[np.uint8], areas: Areas) -> None:
        if self._writer is not None:
            self._writer.write(sample.id, prediction)
        if self._worst is not None:
            self._worst.add(index, sample, prediction, areas)

    def finish(self, result: dict[str, Any], suite: MetricSuite) -> dict[str, Any]:
        if self._out is None:
            return result
        if self._worst is not None:
            result["worst"] = self._worst.write(self._out / "worst")
        write_json(self._out / "eval.json", {**result, "per_image": suite.per_image()})
        return result


def _notes(dataset: Dataset, suite: MetricSuite) -> list[str]:
    """What changes the meaning of the scores."""
    absent = absent_classes(dataset.labels.names, areas(suite.confusion.counts).labelled)
    one = "one class: every score is 100" if dataset.labels.num_classes == 1 else ""
    return [note for note in (few_images(len(dataset)), absent and f"{absent} in the labels", one) if note]


def _check_classes(theirs: tuple[str, ...], dataset: Dataset, spec: str) -> None:
    ours = dataset.labels.names
    if theirs != ours:
        difference = next((f"{a!r} for {b!r}" for a, b in zip(ours, theirs, strict=False) if a != b), "the number")
        raise SegkdError(
            f"{spec} has {len(ours)} classes, the source {len(theirs)}, and they differ ({difference}): "
            "score it on data with the classes that it was trained on, or say with --class-map which becomes which"
        )


def _describe(protocol: Protocol, inference: Inference) -> dict[str, Any]:
    labels = "own size" if protocol.scored_short_px is None else f"short side {protocol.scored_short_px} px"
    return {"name": protocol.name, "labels": labels, "absent": protocol.absent, **asdict(inference)}


@contextlib.contextmanager
def _progress(images: int) -> Iterator[Any]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("eval"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("eval", total=images)
        yield lambda done: bar.update(task, completed=done)
