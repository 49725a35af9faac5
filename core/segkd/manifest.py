"""The manifest of an artifact folder: what lies in it, where it comes from, and the hash of every file."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from segkd.errors import SegkdError
from segkd.files import read_json, sha256_file, write_json
from segkd.files.damage import COMPLETE_ADVICE, describe_damage
from segkd.files.small_files import listed, one_line
from segkd.folders import ArtifactFiles

SCHEMA = 1
# What a variant's ``precision`` may be, the most exact one first.
PRECISIONS = ("fp32", "fp16", "int8")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise ValueError(f"{path!r} does not lie inside the artifact folder")
    return path


RelativePath = Annotated[str, AfterValidator(_relative)]
# Files up to here are hashed in no time. No JSON file is larger, nor does a graph for logits have as much more than the
# one for labels.
_QUICK_BYTES = 64 << 20


class Section(BaseModel):
    """A section of the manifest; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)


class Source(Section):
    """Where the graphs come from."""

    run: str
    """The run folder."""
    model: dict[str, Any] | str
    """The network: its name or configuration."""
    weights_sha256: Sha256
    """Hash of the run's weights file."""
    fingerprint: str | None = None
    """Fingerprint of the data set that gave the reference frames."""
    git: str | None = None
    """Commit of the code that exported."""


class Labels(Section):
    """The label space."""

    names: list[str]
    palette: list[tuple[int, int, int]]
    ignore: int = 255


class Input(Section):
    """The graph's input: frames as a camera gives them."""

    name: str
    layout: Literal["NHWC", "NHW"] = "NHWC"
    """NHW is NV12: (N, height * 3/2, width), the luma rows, then half as many rows of interleaved U and V."""
    dtype: Literal["uint8"] = "uint8"
    color: Literal["RGB", "BGR", "NV12"] = "RGB"
    yuv: Literal["bt601", "bt709", "bt601-full", "bt709-full"] | None = None
    """How NV12 codes colours; without ``-full``, luma 16..235 and chroma 16..240."""
    height_px: int = Field(ge=1)
    """Height of the frame."""
    width_px: int = Field(ge=1)
    """Width of the frame."""
    batch: int | None = Field(default=1, ge=1)
    """Frames per call; None when ``batch_range`` says how many go."""
    batch_range: tuple[int, int] | None = None
    """Smallest and largest number of frames per call."""

    @model_validator(mode="after")
    def _fits(self) -> Input:
        if (self.color == "NV12") != (self.yuv is not None) or (self.color == "NV12") != (self.layout == "NHW"):
            raise ValueError(f"layout {self.layout} and yuv {self.yuv} do not go with color {self.color}")
        if self.color == "NV12" and (self.height_px % 2 or self.width_px % 2):
            raise ValueError(f"NV12 frames have even sides, not {self.height_px}x{self.width_px}")
        return self


class Box(Section):
    """A rectangle of pixels."""

    top_px: int = Field(ge=0)
    left_px: int = Field(ge=0)
    height_px: int = Field(ge=1)
    width_px: int = Field(ge=1)


class Geometry(Section):
    """How the graph brings the frame to the network's size, and at which size it labels."""

    height_px: int = Field(ge=1)
    """Height that the network sees."""
    width_px: int = Field(ge=1)
    """Width that the network sees."""
    resize: Literal["stretch", "letterbox"]
    """Bilinear, pixel centres aligned, not antialiased; a letterbox is filled with the normalisation's mean."""
    content: Box
    """Where the frame lies in what the network sees."""
    labels: Literal["frame", "graph"]
    """Labels at the frame's size, without the letterbox, or at the network's."""

    def labels_px(self, frame: Input) -> tuple[int, int]:
        """Height and width of the labels."""
        return (frame.height_px, frame.width_px) if self.labels == "frame" else (self.height_px, self.width_px)

    def content_px(self) -> tuple[int, int, int, int] | None:
        """Top, left, height and width of the part of the labels that the frame fills; None for all."""
        box = (self.content.top_px, self.content.left_px, self.content.height_px, self.content.width_px)
        return None if self.labels == "frame" or box == (0, 0, self.height_px, self.width_px) else box


class Output(Section):
    """One output tensor of the graph."""

    name: str
    dtype: Literal["uint8"] = "uint8"
    shape: list[int | str | None]


class Outputs(Section):
    """The graph's outputs."""

    labels: Output


class Normalisation(Section):
    """What the graph does to its input, in 0..255 RGB: ``(frame - mean) / std``."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Variant(Section):
    """One graph."""

    file: RelativePath
    logits_file: RelativePath | None = None
    """The logits graph: it gives logits at low resolution, for diagnosis."""
    precision: str
    opset: int
    sha256: Sha256
    bytes: int = Field(ge=1)
    activations: Literal["s8", "u8"] | None = None
    """Of an int8 variant: symmetric and signed, as TensorRT takes them, or unsigned, as CPUs do."""
    float_layers: list[str] = Field(default_factory=list)
    """Layers of an int8 variant that stayed in float because of what they cost; operators of an fp16 variant
    that stayed in float because a half cannot hold their values."""


class Calibration(Section):
    """What the ranges of the int8 variants come from."""

    data: str
    """Name of the data set."""
    fingerprint: str
    ids: list[str] = Field(min_length=1)
    """The frames that gave the ranges."""
    sha256: Sha256
    """Hash of the ids and of the frames' bytes, in their order."""
    held_out: list[str]
    """Training frames that chose the method and the layers that stay in float; none of them gave a range."""
    method: Literal["minmax", "percentile", "entropy"]
    chosen: Literal["auto", "asked"]
    scores: dict[str, dict[str, float | None]]
    """Method -> what its int8 variants reach on the held-out frames, the worse of both."""
    min_agreement: float
    """Smallest share of held-out pixels with the label of the float32 graph that was allowed, 0..1."""
    max_drop: float | None = None
    """Largest loss of mIoU on the held-out frames that was allowed, in points; None for any."""
    reached: dict[str, float | None]
    """What the int8 variants that were written reach, the worse of both."""


class Reference(Section):
    """Validation frames with what the source networks say of them."""

    count: int = Field(ge=0)
    files: dict[str, RelativePath]
    """frames, truth, student, teacher, margins -> file."""
    teacher: bool = False
    ids: RelativePath | list[str] = Field(default_factory=list)


class Evaluation(Section):
    """What the source run reached on its own validation set, as it validates: before any export."""

    miou: float = Field(ge=0, le=1)
    fingerprint: str
    """Of the data set: scores of other data are no comparison."""
    protocol: str
    """Rules, whole image or window."""


class Manifest(Section):
    """Contents of ``manifest.json``."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    created: str
    """ISO 8601 time of the export."""
    segkd_version: str
    source: Source
    label_space: Labels
    input: Input
    outputs: Outputs
    geometry: Geometry | None = None
    """None: the network sees the frame at its own size."""
    normalisation: Normalisation
    variants: dict[str, Variant] = Field(min_length=1)
    reference: Reference | None = None
    evaluation: Evaluation | None = None
    """None for networks that are no run, and in artifacts of older versions."""
    calibration: Calibration | None = None
    """None without int8 variants."""
    gates: dict[str, float] = Field(default_factory=dict)
    """What ``segkd validate`` holds the graphs against instead of its own limits: the recipe's ``gates``."""
    tools: dict[str, str | None] = Field(default_factory=dict)
    """Versions of the libraries that made the graphs."""
    files: dict[RelativePath, Sha256]
    """Every file of the folder but the manifest itself -> hash."""

    @field_validator("schema_")
    @classmethod
    def _known_schema(cls, value: int) -> int:
        if value != SCHEMA:
            raise ValueError(f"this segkd reads manifest schema {SCHEMA}, not {value}; use the segkd that wrote it")
        return value

    def variant(self, name: str) -> Variant:
        """A variant by name.

        Raises:
            SegkdError: if the artifact does not have it.
        """
        if name not in self.variants:
            raise SegkdError(f"the artifact has no variant {name!r}; it has {', '.join(self.variants)}")
        return self.variants[name]


def hash_files(folder: Path, names: list[str]) -> dict[str, str]:
    """The ``files`` section: path relative to the folder -> sha256, in alphabetical order."""
    return {name: sha256_file(folder / name) for name in sorted(names)}


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write ``manifest.json`` in one step; call it last, when every file it names is in place."""
    path = folder / ArtifactFiles.MANIFEST
    write_json(path, manifest.model_dump(mode="json", by_alias=True))
    return path


def load_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``; the files are checked by :func:`verify_files`.

    Raises:
        SegkdError: if it is missing, not JSON, of another schema, or lacks something.
    """
    path = folder / ArtifactFiles.MANIFEST
    if not path.is_file():
        raise SegkdError(
            f"{folder} is no artifact folder: it has no {ArtifactFiles.MANIFEST}; `segkd export` makes one"
        )
    try:
        return Manifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise SegkdError(f"{path}: {one_line(where)}: {one_line(reason)}") from None


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Hash every file again.

    Raises:
        SegkdError: naming every file that is missing, changed, or an ONNX file that the manifest does not know.
    """
    problems = []
    sizes = {variant.file: variant.bytes for variant in manifest.variants.values()}
    most = {variant.logits_file: variant.bytes + _QUICK_BYTES for variant in manifest.variants.values()}
    for name, expected in manifest.files.items():
        # Unlike Path.is_file, False for a name that is too long.
        if not os.path.isfile(folder / name):
            problems.append(f"{one_line(name)} is missing")
        elif not _may_fit(folder / name, sizes.get(name), most.get(name)) or sha256_file(folder / name) != expected:
            problems.append(f"{one_line(name)} {describe_damage(folder / name, expected, sizes.get(name))}")
    for key, variant in manifest.variants.items():
        graphs = [graph for graph in (variant.file, variant.logits_file) if graph is not None]
        problems += [f"{graph} of variant {key} has no hash" for graph in graphs if graph not in manifest.files]
        if manifest.files.get(variant.file, variant.sha256) != variant.sha256:
            problems.append(f"{variant.file} has two different hashes in the manifest")
    found = (path for pattern in ("*.onnx", "*.onnx.data") for path in folder.rglob(pattern))
    present = {path.relative_to(folder).as_posix() for path in found}
    problems += [f"{name} is not in the manifest" for name in sorted(present - set(manifest.files))]
    if problems:
        advice = "" if any(problem.endswith(COMPLETE_ADVICE) for problem in problems) else "; export again"
        raise SegkdError(f"{folder}: {listed(problems)}{advice}")


def _may_fit(path: Path, bytes_: int | None, most: int | None) -> bool:
    """Whether a large file is worth hashing, which takes a minute for what was blown up to many GB.

    Args:
        path: the file.
        bytes_: its size; None if nothing says it.
        most: the size that it cannot exceed; None if nothing says it.
    """
    size = path.stat().st_size
    if size <= _QUICK_BYTES:
        return True
    if path.suffix == ".npy":
        from segkd.files.arrays import array_bytes

        bytes_ = array_bytes(path) or 0
    if bytes_ is not None:
        return size == bytes_
    return path.suffix != ".json" and (most is None or size <= most)
