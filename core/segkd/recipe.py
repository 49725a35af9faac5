"""Recipes: one strict YAML file that says what a run is. Unknown keys stop the program before anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from segkd.errors import SegkdError, unknown_name
from segkd.options import parse_size
from segkd.recipe_problems import Places, apply_overrides, explain
from segkd.yaml_lines import read_yaml, write_yaml

SCHEMA = 1


def _named(value: Any) -> Any:
    """A part as ``name`` or ``{name: options}``; an empty option list becomes {}."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        if options is None or isinstance(options, dict):
            return {name: options or {}}
        raise ValueError(f"the options of {name} must be key: value pairs, got {options!r}")
    raise ValueError(f"expected a name, or one name with its options ({{name: {{key: value}}}}), got {value!r}")


def _size(value: Any) -> Any:
    """``96x192`` or ``[96, 192]``."""
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(n) is int and n > 0 for n in value):
        return tuple(value)
    raise ValueError(f"expected height and width in pixels, as 512x1024 or [512, 1024], got {value!r}")


def _range(value: Any) -> Any:
    """``[0.5, 2.0]``."""
    numbers = isinstance(value, (list, tuple)) and all(type(n) in (int, float) for n in value)
    if not numbers or len(value) != 2 or not 0 < value[0] <= value[1]:
        raise ValueError(f"expected two positive numbers, the smaller one first, as [0.5, 2.0], got {value!r}")
    return tuple(value)


# A part written as `name` or as `name: {option: value}`.
Named = Annotated[str | dict[str, dict[str, Any]], BeforeValidator(_named)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
Range = Annotated[tuple[float, float], BeforeValidator(_range)]


class Part(BaseModel):
    """A section of a recipe; unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=(), populate_by_name=True
    )


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

    crop: Size | None = None
    """Height and width in pixels of a training crop; by default the whole image."""
    scale: Range = (0.5, 2.0)
    """Range of the random scale."""
    flip: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    cat_max_ratio: float = Field(default=0.75, gt=0, le=1)
    """Crops in which one class exceeds this share are drawn again (up to 10 times); 1 turns it off."""
    photometric: bool = True
    """Brightness, contrast, saturation and hue as mmsegmentation distorts them, on the device."""


class TrainPart(Part):
    """The optimisation."""

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
    class_weights: list[float] | Literal["auto"] | None = None
    amp: Literal["off", "fp16", "bf16"] = "off"
    seed: int = Field(default=0, ge=0)
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)


class EvalPart(Part):
    """Validation."""

    every: int | None = Field(default=None, ge=1)
    """Iterations between validations; by default a tenth of the run."""
    mode: Literal["whole", "slide"] = "whole"
    protocol: Literal["mmseg", "cirkd", "attnfd"] = "mmseg"


class ExportPart(Part):
    """The deployed graph."""

    imgsz: Size | None = None
    """Height and width in pixels; by default the size of the first validation image."""
    frame: Size | None = None
    precisions: list[Literal["fp32", "fp16", "int8"]] = ["fp32"]
    calibration: str | None = None


class Recipe(Part):
    """A whole run. ``segkd recipe show NAME`` prints one, ``segkd recipe check FILE`` tests one."""

    schema_: int = Field(default=SCHEMA, alias="schema")
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


# Keys that the schema fixes but nothing acts on: the values they may have. Any other one is refused by name.
NOT_YET: dict[str, tuple[Any, ...]] = {
    "data.cache": (None,),
    "teacher.class_map": (None,),
    "train.loss": ("ce", {"ce": {}}),
    "train.class_weights": (None,),
    "train.devices": (1,),
    "train.nodes": (1,),
    "eval.mode": ("whole",),
    "eval.protocol": ("mmseg",),
    "export.frame": (None,),
    "export.precisions": (["fp32"],),
    "export.calibration": (None,),
    "gates": (None,),
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
    """The shipped recipes: name -> file."""
    import importlib.resources

    try:
        folder = Path(str(importlib.resources.files("segkd_distill"))) / "recipes"
    except ModuleNotFoundError:
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def recipe_path(path_or_name: str | Path) -> Path:
    """The file of a recipe that is given as a path or as a shipped recipe's name.

    Raises:
        SegkdError: if there is neither such a file nor such a name.
    """
    path = Path(path_or_name).expanduser()
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) != 1:
        raise SegkdError(f"no recipe file {path}; `segkd list recipes` shows the shipped ones")
    shipped = recipe_names()
    if str(path_or_name) not in shipped:
        raise unknown_name("recipe", str(path_or_name), shipped)
    return shipped[str(path_or_name)]


def load_recipe(path_or_name: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe file or a shipped recipe.

    Args:
        path_or_name: a YAML file, or a name of ``segkd list recipes``.
        overrides: ``key.path=value``, applied in their order.

    Raises:
        SegkdError: ``file:line: key: ...`` for anything that is wrong in it.
    """
    path = recipe_path(path_or_name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SegkdError(f"{path}: cannot be read ({error})") from error
    mapping, lines = read_yaml(text, str(path))
    if mapping is not None and not isinstance(mapping, dict):
        raise SegkdError(f"{path}: a recipe is made of key: value sections, this file holds {type(mapping).__name__}")
    places = Places(str(path), {key: f"{path}:{line}" for key, line in lines.items()})
    return _validate(mapping or {}, overrides, places)


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
    values = apply_overrides(mapping, overrides, places)
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
