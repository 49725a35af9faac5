"""What a report can show. Everything but the title is optional; a section without content does not appear."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Headline:
    """One network of the comparison.

    Attributes:
        name: what it is called everywhere in the report.
        miou: 0..1.
        params: number of parameters.
        seconds: training time.
    """

    name: str
    miou: float | None = None
    params: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Series:
    """A named line of a chart: (x, y) points in rising x."""

    name: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Lines over common axes."""

    title: str
    x_label: str
    y_label: str
    series: list[Series]


@dataclass(frozen=True)
class Panel:
    """One picture: an RGB image (H, W, 3), or class indices (H, W) with 255 = ignored, both uint8."""

    caption: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class PictureRow:
    """One frame as different eyes see it."""

    name: str
    panels: list[Panel]


@dataclass(frozen=True)
class Pictures:
    """Frames with label maps.

    Attributes:
        rows: one per frame.
        names: class names, in the order of the indices.
        palette: RGB colours of the classes, 0..255.
    """

    rows: list[PictureRow]
    names: list[str]
    palette: list[RGB]


@dataclass(frozen=True)
class ClassTable:
    """IoU per class and network.

    Attributes:
        names: class names.
        runs: network -> IoU 0..1 per class; None or nan where the class does not occur.
        baseline: the network that differences are taken to, None for no differences.
    """

    names: list[str]
    runs: dict[str, list[float | None]]
    baseline: str | None = None


@dataclass(frozen=True)
class Latency:
    """A latency measurement.

    Attributes:
        p50_ms: median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        values_ms: the raw measurements, for the histogram.
        facts: what else must be known, label -> text: device, runtime, provider, threads, precision, batch.
        warnings: why the numbers should be read with care.
        valid: False if the measurement must not be used.
    """

    p50_ms: float
    p90_ms: float | None = None
    p99_ms: float | None = None
    values_ms: list[float] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    valid: bool = True


@dataclass(frozen=True)
class ParityRow:
    """One exported graph against its source.

    Attributes:
        variant: fp32, fp16, ...
        agreement: share of pixels with the same label, 0..1.
        flips: pixels with another label.
        flips_interior: those away from boundaries.
        flips_boundary: those beside boundaries.
        miou_source: 0..1, of the source network.
        miou_graph: 0..1, of the graph.
        frames: how many frames were compared.
    """

    variant: str
    agreement: float | None = None
    flips: int | None = None
    flips_interior: int | None = None
    flips_boundary: int | None = None
    miou_source: float | None = None
    miou_graph: float | None = None
    frames: int | None = None


@dataclass(frozen=True)
class Gate:
    """One condition of a release; the texts are shown as they are."""

    name: str
    limit: str
    value: str
    passed: bool


@dataclass(frozen=True)
class PublishedRow:
    """One published number beside what the report's runs reached with the same method.

    Attributes:
        name: teacher, student, or a method's name.
        miou: published, in percent; None where the source has none.
        ours: run -> its mIoU in percent.
    """

    name: str
    miou: float | None
    ours: dict[str, float]


@dataclass(frozen=True)
class Published:
    """What a source says about an experiment.

    Attributes:
        title: where the numbers stand.
        protocol: how they were measured, in words.
        rows: teacher, student alone, methods.
    """

    title: str
    protocol: str
    rows: list[PublishedRow]


@dataclass(frozen=True)
class Step:
    """One command of the workflow."""

    command: str
    seconds: float | None = None


@dataclass(frozen=True)
class ReportData:
    """A whole report."""

    title: str
    subtitle: str = ""
    verdict: str = ""
    headlines: list[Headline] = field(default_factory=list)
    pictures: Pictures | None = None
    charts: list[Chart] = field(default_factory=list)
    classes: ClassTable | None = None
    published: list[Published] = field(default_factory=list)
    latency: Latency | None = None
    parity: list[ParityRow] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
