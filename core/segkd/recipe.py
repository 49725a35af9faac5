"""Recipes: one strict YAML file that says what a run is. Unknown keys stop the program before anything else."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

SCHEMA = 1

# A part written as `name` or as `name: {option: value}`.
Named = str | dict[str, dict[str, Any]]


class Part(BaseModel):
    """A section of a recipe; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class DataPart(Part):
    """Where the images come from; each value is ``NAME:PATH[,option=value]``."""

    train: str | None = None
    """Labelled training images."""
    val: str | None = None
    """Validation images; by default the ``val`` split of ``train``."""
    unlabelled: str | None = None
    """Frames without labels that the teacher labels softly; half of each batch comes from here."""
    cache: str | None = None
    """Folder for a decoded copy."""


class TeacherPart(Part):
    """The network to learn from."""

    model: str | None = None
    """A run folder or a model's name."""
    weights: str | None = None
    """Weights file for a model's name."""
    class_map: dict[str, str] | None = None
    """Teacher class -> student class."""


class StudentPart(Part):
    """The network to train."""

    model: str | None = None
    """A model's name (``segkd list models``)."""
    weights: str | None = None
    """Weights of the whole network to start from."""
    backbone_weights: str | None = None
    """Weights of the backbone to start from."""


class AugmentPart(Part):
    """Geometry on the host, colour on the device."""

    crop: tuple[int, int] | None = None
    """Height and width in pixels of a training crop; by default the whole image."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the random scale."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    cat_max_ratio: float = Field(0.75, gt=0, le=1)
    """Crops in which one class exceeds this share are drawn again (up to 10 times); 1 turns it off."""
    photometric: bool = True
    """Brightness, contrast, saturation and hue as mmsegmentation distorts them, on the device."""


class TrainPart(Part):
    """The optimisation."""

    iters: int = Field(40000, ge=1)
    batch: int = Field(8, ge=1)
    """Images per step on each device; with unlabelled frames, half of them are those."""
    accumulate: int = Field(1, ge=1)
    """Batches per optimiser step."""
    optimizer: Named = "sgd"
    """sgd (momentum 0.9) or adamw, or ``{sgd: {momentum: 0.9, nesterov: true}}``."""
    lr: float = Field(0.01, gt=0)
    head_lr_mult: float = Field(1.0, gt=0)
    """Factor on the learning rate of everything but the backbone."""
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Named = "poly"
    """poly, or ``{poly: {power: 0.9, min_lr: 0.0001}}``."""
    warmup_iters: int = Field(0, ge=0)
    loss: Named = "ce"
    class_weights: list[float] | Literal["auto"] | None = None
    amp: Literal["off", "fp16", "bf16"] = "off"
    seed: int = Field(0, ge=0)
    devices: int = Field(1, ge=1)
    nodes: int = Field(1, ge=1)


class EvalPart(Part):
    """Validation."""

    every: int | None = Field(None, ge=1)
    """Iterations between validations; by default a tenth of the run."""
    mode: Literal["whole", "slide"] = "whole"
    protocol: Literal["mmseg", "cirkd", "attnfd"] = "mmseg"


class ExportPart(Part):
    """The deployed graph."""

    imgsz: tuple[int, int] | None = None
    """Height and width in pixels; by default the size of the first validation image."""
    frame: tuple[int, int] | None = None
    precisions: list[Literal["fp32", "fp16", "int8"]] = ["fp32"]
    calibration: str | None = None


class Recipe(Part):
    """A whole run. ``segkd recipe show NAME`` prints one, ``segkd recipe check FILE`` tests one."""

    schema_: int = Field(SCHEMA, alias="schema")
    data: DataPart = DataPart()
    teacher: TeacherPart = TeacherPart()
    student: StudentPart = StudentPart()
    methods: list[Named] = []
    augment: AugmentPart = AugmentPart()
    train: TrainPart = TrainPart()
    eval: EvalPart = EvalPart()
    export: ExportPart = ExportPart()
    gates: dict[str, float] | None = None

    @field_validator("schema_")
    @classmethod
    def _known_schema(cls, value: int) -> int:
        if value != SCHEMA:
            raise ValueError(f"this segkd reads recipe schema {SCHEMA}, the recipe has {value}")
        return value


def split_named(part: Named) -> tuple[str, dict[str, Any]]:
    """``name`` or ``{name: options}`` as (name, options)."""
    if isinstance(part, str):
        return part, {}
    (name, options), *others = part.items()
    if others:
        raise ValueError(f"one name expected, got {', '.join(part)}")
    return name, dict(options or {})
