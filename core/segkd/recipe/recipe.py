"""Recipes: one strict YAML file that says what a run is. Unknown keys stop the program before anything else."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from segkd.errors import SegkdError
from segkd.files.small_files import one_line
from segkd.files.yaml_lines import write_yaml
from segkd.recipe.extends import read_layers
from segkd.recipe.presets import PIPELINES, SCHEDULES, fill_from, known_preset
from segkd.recipe.problems import Places, apply_overrides, explain, leave_out
from segkd.recipe.values import as_named, as_range, as_size

SCHEMA = 1
OWN_DATA = "own-"
"""How the names of the recipes for a user's own data begin."""

# A part written as `name` or as `name: {option: value}`.
Named = Annotated[str | dict[str, dict[str, Any]], BeforeValidator(as_named)]
Size = Annotated[tuple[int, int], BeforeValidator(as_size)]
Range = Annotated[tuple[float, float], BeforeValidator(as_range)]


class Section(BaseModel):
    """A section of a recipe; unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=(), populate_by_name=True
    )


class DataSection(Section):
    """Where the images come from; each value is ``NAME:PATH[,option=value]``."""

    train: str | None = None
    """Labelled training images."""
    val: str | None = None
    """Validation images; by default the ``val`` split of ``train``."""
    unlabelled: str | None = None
    """Frames without labels that the teacher labels softly; half of each batch comes from here."""
    cache: str | None = None
    """Folder for a decoded copy of every data set: made once, then mapped into memory."""
    skip_damaged: bool = False
    """Leave out training files that cannot be read, and count them; otherwise the first one ends the run."""


class TeacherSection(Section):
    """The network to learn from."""

    model: str | None = None
    """A run folder, a model's name, hf:, timm: or torch: with what to open, or an ONNX file."""
    weights: str | None = None
    """Weights file for a model's name."""
    class_map: dict[str, str | None] | None = None
    """Teacher class -> class of the data, or null for one that is left out; equal names need not be listed."""
    fit: Literal["tile", "resize"] | None = None
    """How images of any size reach a teacher that takes one size only: in tiles, or resized."""
    pseudo_labels: float | None = Field(default=0.5, ge=0, lt=1)
    """Methods that need labels get the teacher's on frames without, where it is surer than this; null for none."""


class StudentSection(Section):
    """The network to train."""

    model: str | None = None
    """A model's name (``segkd list models``)."""
    weights: str | None = None
    """Weights of the whole network to start from."""
    backbone_weights: str | None = None
    """Weights of the backbone to start from: a file, or a name of ``segkd weights list``."""
    from_scratch: bool | None = None
    """Whether random initial weights are meant: false refuses to start without weights, as published recipes do."""
    fresh_classifier: bool = False
    """Take ``weights`` for other classes, and start with a classifier of its own."""


class AugmentSection(Section):
    """Geometry on the host, colour on the device."""

    pipeline: str | None = None
    """A published pipeline (mmseg, cirkd, attnfd; ``segkd recipe presets``) for the keys that are not given."""
    file: str | None = None
    """A YAML file of albumentations transforms; becomes ``transforms``."""
    transforms: list[Named] | None = None
    """Albumentations transforms, ``{Name: {argument: value}}``, in place of scale, flip, cat_max_ratio and padding."""
    crop: Size | None = None
    """Height and width in pixels of a training crop; by default the whole image."""
    scale: Range = (0.5, 2.0)
    """Range of the random scale."""
    scale_step: float | None = Field(default=None, gt=0)
    """Distance of the scales that are drawn, from the smallest on; by default every scale of the range."""
    short_side: int | None = Field(default=None, ge=1)
    """Short side in pixels of an image at scale 1; by default its own."""
    long_side: int | None = Field(default=None, ge=1)
    """Limit in pixels of the long side at scale 1."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    cat_max_ratio: float = Field(default=0.75, gt=0, le=1)
    """Crops in which one class exceeds this share are drawn again (up to 10 times); 1 turns it off."""
    pad_label: int = Field(default=255, ge=0, le=255)
    """Label of what lies beyond the image; 255 = ignored."""
    photometric: bool = True
    """Brightness, contrast, saturation and hue as mmsegmentation distorts them, on the device."""
    blur: float = Field(default=0.0, ge=0, le=1)
    """Probability of a Gaussian blur with a deviation of up to 1 pixel, on the device."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        own = values.get("file") is not None or values.get("transforms") is not None
        return {**({"photometric": False} if own else {}), **fill_from(PIPELINES, values.get("pipeline"), values)}

    @field_validator("pipeline")
    @classmethod
    def _known_pipeline(cls, value: str | None) -> str | None:
        return known_preset("pipeline", PIPELINES, value)

    @model_validator(mode="after")
    def _one_geometry(self) -> AugmentSection:
        given = [key for key in ("pipeline", "file", "transforms") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; keep one")
        replaced = ("scale", "scale_step", "short_side", "long_side", "flip", "cat_max_ratio", "pad_label")
        said = [key for key in replaced if getattr(self, key) != type(self).model_fields[key].default]
        if said and given and given != ["pipeline"]:
            raise ValueError(f"{given[0]} takes the place of {', '.join(said)}; leave out one or the other")
        return self


class TrainSection(Section):
    """The optimisation."""

    preset: str | None = None
    """A published schedule (``segkd recipe presets``), such as mmseg-80k, for the keys that are not given."""
    iters: int = Field(default=40000, ge=1)
    batch: int = Field(default=8, ge=1)
    """Images per step on each device; with unlabelled frames, half of them are those."""
    accumulate: int = Field(default=1, ge=1)
    """Batches per optimiser step."""
    optimizer: Named = "sgd"
    """sgd (momentum 0.9) or adamw, or ``{sgd: {momentum: 0.9, nesterov: true}}``."""
    lr: float = Field(default=0.01, gt=0)
    head_lr_mult: float = Field(default=1.0, gt=0)
    """Factor on the learning rate of everything but the backbone."""
    weight_decay: float = Field(default=5e-4, ge=0)
    schedule: Named = "poly"
    """poly, or ``{poly: {power: 0.9, min_lr: 0.0001}}``."""
    warmup_iters: int = Field(default=0, ge=0)
    loss: Named = "ce"
    """ce, or ohem, or ``{ohem: {threshold: 0.7, min_kept: 100000}}``: only the hard pixels count."""
    class_weights: list[float] | Literal["auto", "cityscapes"] | None = None
    """One per class; auto (median frequency of the training masks) or cityscapes (the published list)."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of a moving average of the weights, such as 0.999; the average is validated too, and kept where better."""
    self_training: bool = False
    """Whether the teacher's labels on rows without labels also enter ``train.loss``."""
    amp: Literal["off", "fp16", "bf16"] = "off"
    seed: int = Field(default=0, ge=0)
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        return fill_from(SCHEDULES, values.get("preset"), values) if isinstance(values, Mapping) else values

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str | None) -> str | None:
        return known_preset("preset", SCHEDULES, value)


class EvalSection(Section):
    """Validation."""

    every: int | None = Field(default=None, ge=1)
    """Iterations between validations; by default a tenth of the run."""
    patience: int | None = Field(default=None, ge=1)
    """End the run after this many validations in a row without a better one."""
    mode: Literal["whole", "slide"] = "whole"
    """The whole image at once, or a sliding window."""
    crop: Size | None = None
    """Height and width of the sliding window in pixels; by default the training crop."""
    stride: Size | None = None
    """Vertical and horizontal distance of windows in pixels; by default two thirds of the crop."""
    protocol: Literal["mmseg", "cirkd", "attnfd"] | None = None
    """Whose rules; by default images and labels at their own size, with mmsegmentation's means."""


class ExportSection(Section):
    """The deployed graph."""

    imgsz: Size | None = None
    """Height and width in pixels that the network sees; by default the size of the first validation image."""
    frame: Size | None = None
    """Height and width in pixels of the camera's frame, which the graph resizes; by default the network's."""
    precisions: list[Literal["fp32", "fp16", "int8"]] = Field(default=["fp32"], min_length=1)
    """int8 writes ``int8`` for TensorRT and ``int8-cpu``."""
    calibration: str | None = None
    """Training images that int8 is calibrated on; by default ``data.train`` and ``data.unlabelled``."""


class Recipe(Section):
    """A whole run. ``segkd recipe show NAME`` prints one, ``segkd recipe check FILE`` tests one."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    experiment: str | None = None
    """Published experiment that this is a run of; its numbers are shown beside ours (``segkd list recipes``)."""
    data: DataSection = DataSection()
    teacher: TeacherSection = TeacherSection()
    student: StudentSection = StudentSection()
    methods: list[Named] = []
    augment: AugmentSection = AugmentSection()
    train: TrainSection = TrainSection()
    eval: EvalSection = EvalSection()
    export: ExportSection = ExportSection()
    gates: dict[str, float] | None = None
    """Limits of ``segkd validate``: ``agreement`` for all graphs, ``fp16.agreement`` for a precision or a variant."""

    @field_validator("schema_")
    @classmethod
    def _known_schema(cls, value: int) -> int:
        if value != SCHEMA:
            raise ValueError(f"this segkd reads recipe schema {SCHEMA}, the recipe has {value}")
        return value


# Keys that the schema fixes but nothing acts on: the values they may have. Any other one is refused by name.
NOT_YET: dict[str, tuple[Any, ...]] = {
    "train.devices": (1,),
    "train.nodes": (1,),
}


def split_named(part: Named) -> tuple[str, dict[str, Any]]:
    """``name`` or ``{name: options}`` as (name, options)."""
    if isinstance(part, str):
        return part, {}
    (name, options), *others = part.items()
    if others:
        raise ValueError(f"one name expected, got {', '.join(part)}")
    return name, dict(options or {})


def recipe_names() -> dict[str, Path]:
    """The shipped recipes: name -> file; those for data of one's own first, then by name."""
    import importlib.resources

    try:
        folder = Path(str(importlib.resources.files("segkd_distill"))) / "recipes"
    except ModuleNotFoundError:
        return {}
    files = sorted(folder.glob("*.yaml"), key=lambda path: (not path.stem.startswith(OWN_DATA), path.stem))
    return {path.stem: path for path in files}


def recipe_path(path_or_name: str | Path) -> Path:
    """The file of a recipe that is given as a path or as a shipped recipe's name.

    Raises:
        SegkdError: if there is neither such a file nor such a name.
    """
    path = Path(path_or_name).expanduser()
    # Unlike those of Path, these are False for a name that is too long or holds a NUL.
    named_as_file = path.suffix in (".yaml", ".yml") or len(path.parts) != 1
    if os.path.isfile(path) or (named_as_file and os.path.exists(path)):
        return path
    shown = one_line(path_or_name)
    if named_as_file:
        raise SegkdError(
            f"no recipe file {shown}; `segkd recipe copy own-small {shown}` makes one for data of your own, "
            "`segkd list recipes` shows what else can be copied"
        )
    shipped = recipe_names()
    if str(path_or_name) not in shipped:
        near = difflib.get_close_matches(str(path_or_name), shipped, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else "for data of your own: own-small, own-large;"
        raise SegkdError(f"unknown recipe {shown!r}; {hint} `segkd list recipes` shows all")
    return shipped[str(path_or_name)]


def load_recipe(path_or_name: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file or a shipped recipe, with what it extends.

    Args:
        path_or_name: a YAML file, or a name of ``segkd list recipes``.
        overrides: ``key.path=value``, applied in their order.

    Raises:
        SegkdError: ``file:line: key: ...`` for anything that is wrong in it.
    """
    return read_recipe(path_or_name, overrides)[0]


def read_recipe(path_or_name: str | Path | None, overrides: Iterable[str] = ()) -> tuple[Recipe, Places]:
    """Read a recipe with where each key was written; ``None`` is an empty recipe, on the command line.

    Raises:
        SegkdError: as :func:`load_recipe`.
    """
    mapping: Mapping[str, Any] = {}
    places = Places("command line", {})
    if path_or_name is not None:
        mapping, places = read_layers(recipe_path(path_or_name), recipe_path)
    return _validate(mapping, overrides, places), places


def parse_recipe(mapping: Mapping[str, Any], overrides: Iterable[str] = (), source: str = "recipe") -> Recipe:
    """A recipe from plain values; see :func:`load_recipe`.

    Args:
        mapping: sections and keys as in the YAML file.
        overrides: ``key.path=value``, applied in their order.
        source: what error messages call it.

    Raises:
        SegkdError: ``source: key: ...`` for anything that is wrong in it.
    """
    return _validate(mapping, overrides, Places(source, {}))


def _validate(mapping: Mapping[str, Any], overrides: Iterable[str], places: Places) -> Recipe:
    values = leave_out(apply_overrides(mapping, overrides, places), Recipe, places)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise explain(error, Recipe, values, places) from None
    plain = recipe.model_dump(mode="json")
    for key, allowed in NOT_YET.items():
        path = tuple(key.split("."))
        value: Any = plain
        for part in path:
            value = value[part]
        if value not in allowed:
            todo = "remove it" if allowed[0] is None else f"the only value is {allowed[0]!r}"
            raise SegkdError(f"{places.of(path)}: {key}: {value!r} is not supported yet; {todo}")
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """A recipe as YAML, every key written out; :func:`load_recipe` reads it back equal."""
    return write_yaml(recipe.model_dump(mode="json", by_alias=True))
