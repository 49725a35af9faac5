"""The manifest of an artifact folder: what lies in it, where it comes from, and the hash of every file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from segkd.errors import SegkdError
from segkd.files import read_json, sha256_file, write_json

SCHEMA = 1
FILE_NAME = "manifest.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise ValueError(f"{path!r} does not lie inside the artifact folder")
    return path


RelativePath = Annotated[str, AfterValidator(_relative)]


class Part(BaseModel):
    """A section of the manifest; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)


class Source(Part):
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


class Labels(Part):
    """The label space."""

    names: list[str]
    palette: list[tuple[int, int, int]]
    ignore: int = 255


class Input(Part):
    """The graph's input: frames as a camera gives them."""

    name: str
    layout: Literal["NHWC"] = "NHWC"
    dtype: Literal["uint8"] = "uint8"
    color: Literal["RGB"] = "RGB"
    height_px: int = Field(ge=1)
    width_px: int = Field(ge=1)
    batch: int | None = Field(default=1, ge=1)
    """Frames per call; None when any number goes."""


class Output(Part):
    """One output tensor of the graph."""

    name: str
    dtype: Literal["uint8"] = "uint8"
    shape: list[int | str | None]


class Outputs(Part):
    """The graph's outputs."""

    labels: Output


class Normalisation(Part):
    """What the graph does to its input, in 0..255 RGB: ``(frame - mean) / std``."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Variant(Part):
    """One graph."""

    file: RelativePath
    logits_file: RelativePath | None = None
    """The twin that gives low-resolution logits, for diagnosis."""
    precision: str
    opset: int
    sha256: Sha256
    bytes: int = Field(ge=1)


class Reference(Part):
    """Validation frames with what the source networks say of them."""

    count: int = Field(ge=0)
    files: dict[str, RelativePath]
    """frames, truth, student, teacher, margins -> file."""
    teacher: bool = False
    ids: RelativePath | list[str] = Field(default_factory=list)


class Manifest(Part):
    """Contents of ``manifest.json``."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    created: str
    """ISO 8601 time of the export."""
    segkd_version: str
    source: Source
    label_space: Labels
    input: Input
    outputs: Outputs
    normalisation: Normalisation
    variants: dict[str, Variant] = Field(min_length=1)
    reference: Reference | None = None
    calibration: list[str] = Field(default_factory=list)
    """Ids of the frames that calibrated int8 variants."""
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
    path = folder / FILE_NAME
    write_json(path, manifest.model_dump(mode="json", by_alias=True))
    return path


def load_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``; the files are checked by :func:`verify_files`.

    Raises:
        SegkdError: if it is missing, not JSON, of another schema, or lacks something.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise SegkdError(f"{folder} is no artifact folder: it has no {FILE_NAME}; `segkd export` makes one")
    try:
        return Manifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SegkdError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Hash every file again.

    Raises:
        SegkdError: naming every file that is missing, changed, or an ONNX file that the manifest does not know.
    """
    problems = []
    for name, expected in manifest.files.items():
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif sha256_file(folder / name) != expected:
            problems.append(f"{name} has changed")
    for key, variant in manifest.variants.items():
        graphs = [graph for graph in (variant.file, variant.logits_file) if graph is not None]
        problems += [f"{graph} of variant {key} has no hash" for graph in graphs if graph not in manifest.files]
        if manifest.files.get(variant.file, variant.sha256) != variant.sha256:
            problems.append(f"{variant.file} has two different hashes in the manifest")
    found = (path for pattern in ("*.onnx", "*.onnx.data") for path in folder.rglob(pattern))
    present = {path.relative_to(folder).as_posix() for path in found}
    problems += [f"{name} is not in the manifest" for name in sorted(present - set(manifest.files))]
    if problems:
        raise SegkdError(f"{folder}: {'; '.join(problems)}; export again")
