"""The JSON files that segkd writes and reads again: what their keys hold, checked once, where they are read.

Every model lists the keys that some command reads. Keys that are not listed may be there, as newer versions write more;
a listed one may be missing, as older versions wrote less, unless the reader asks for it; none may hold another type.
``manifest.json`` has its own, stricter model in ``segkd.manifest``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segkd.errors import SegkdError
from segkd.files import read_object
from segkd.files.small_files import one_line

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Flag = bool | float | None


class JsonContent(BaseModel):
    """A file's content or a section of it: types are not converted, further keys are let through."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class GateRow(JsonContent):
    """A gate with its verdict."""

    name: str
    variant: str | None = None
    limit: Flag = None
    measured: Flag = None
    passed: bool


class SeenArtifact(JsonContent):
    """The export that evidence speaks of."""

    path: str | None = None
    manifest_sha256: str | None = None
    sha256: str | None = None
    variant: str | None = None
    precision: str | None = None
    bytes: Count | None = None


class Machine(JsonContent):
    """Where something ran."""

    model: str | None = None
    cores: Count | None = None
    clocks_locked: bool | None = None
    nvpmodel: str | dict[str, Any] | None = None


class Runtime(JsonContent):
    """What ran it."""

    name: str | None = None
    version: str | None = None
    provider: str | None = None
    threads: Count | None = None


class Flips(JsonContent):
    """Pixels with another label."""

    total: Count | None = None
    interior: Count | None = None
    boundary: Count | None = None


class Miou(JsonContent):
    """mIoU of source and graph."""

    source: Share | None = None
    graph: Share | None = None
    delta: Annotated[float, Field(ge=-1, le=1)] | None = None


class WholeSet(JsonContent):
    """The score on a whole data set."""

    miou: Share | None
    images: Count | None
    data: str | None
    fingerprint: str | None = None


class ParityVariant(JsonContent):
    """What ``segkd validate`` says of one variant."""

    sha256: str | None = None
    precision: str | None = None
    frames: Count | None = None
    agreement: Share | None = None
    flips: Flips | None = None
    boundary_width_px: Amount | None = None
    miou: Miou | None = None
    logits_finite: bool | None = None
    whole_set: WholeSet | None = None
    runtime: Runtime | None = None
    gates: list[GateRow] | None = None


class Parity(JsonContent):
    """``parity.json``."""

    schema_: int | None = Field(default=None, alias="schema")
    created: str | None = None
    artifact: SeenArtifact | None = None
    host: Machine | None = None
    agreement: Share | None = None
    passed: bool | None = None
    chain: list[dict[str, Any]] | None = None
    notes: list[str] | None = None
    variants: dict[str, ParityVariant] = Field(default_factory=dict)


class LatencyMs(JsonContent):
    """Percentiles."""

    p50: Amount | None = None
    p90: Amount | None = None
    p99: Amount | None = None
    max: Amount | None = None


class Settings(JsonContent):
    """What a measurement was asked for."""

    preset: str | None = None


class Method(JsonContent):
    """How was measured."""

    scenario: str | None = None
    fps: Amount | None = None
    batch: Count | None = None
    iterations: Count | None = None
    includes_transfers: bool | None = None
    settings: Settings | None = None


class Load(JsonContent):
    """The cold start."""

    total_ms: Amount | None = None


class Memory(JsonContent):
    """Memory of the process."""

    rss_peak: Count | None = None


class Power(JsonContent):
    """Energy."""

    energy_mj_per_frame: float | None = None
    net_energy_mj_per_frame: float | None = None


class Bench(JsonContent):
    """``bench.json``."""

    schema_: int | None = Field(default=None, alias="schema")
    created: str | None = None
    artifact: SeenArtifact | None = None
    runtime: Runtime | None = None
    device: Machine | None = None
    method: Method | None = None
    latency_ms: LatencyMs | None = None
    throughput_fps: Amount | None = None
    load: Load | None = None
    memory: Memory | None = None
    power: Power | None = None
    valid: bool | None = None
    invalid_reasons: list[str] | None = None
    warnings: list[str] | None = None
    latencies_ns: list[Amount] | None = None


class ReleaseRecord(JsonContent):
    """``release.json``."""

    schema_: int | None = Field(default=None, alias="schema")
    name: str | None = None
    version: str | None = None
    passed: bool | None = None
    gates: list[GateRow] | None = None
    artifact: dict[str, Any] | None = None
    evidence: dict[str, str] | None = None
    gates_sha256: str | None = None


class Evaluated(JsonContent):
    """The scores of a run."""

    miou: Share | None = None
    per_class: dict[str, Share | None] | None = None


class RunData(JsonContent):
    """What a run was trained on."""

    val: str | None = None
    fingerprints: dict[str, str | None] | None = None


class Seconds(JsonContent):
    """How long a run took."""

    train: Amount | None = None


class Skipped(JsonContent):
    """Damaged samples that were left out."""

    samples: Count | None = None


class RunRecord(JsonContent):
    """``run.json``."""

    finished: bool | None = None
    params: Count | None = None
    seconds: Seconds | Amount | None = None
    data: RunData | None = None
    eval: Evaluated | None = None
    skipped: Skipped | None = None
    published: dict[str, Any] | None = None


class LabelSpaceRecord(JsonContent):
    """The classes in ``model.json``."""

    names: list[str]
    palette: list[Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]]
    ignore: Annotated[int, Field(ge=0, le=255)] = 255


class ModelCard(JsonContent):
    """``model.json`` of a run."""

    label_space: LabelSpaceRecord | None = None
    imgsz: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] | None = None
    num_classes: Count | None = None
    name: str | None = None
    mean: list[float] | None = None
    std: list[float] | None = None


def read_checked(path: Path, model: type[JsonContent], advice: str, needs: Iterable[str] = ()) -> dict[str, Any]:
    """The object in a JSON file, as it is written there, once a model has found nothing wrong.

    Args:
        path: the file.
        model: what its keys hold.
        advice: what to do if something is wrong; the end of the message.
        needs: dotted keys that must be there; only those with ``?`` behind them may be null.

    Raises:
        SegkdError: one line naming the file and the first key that is missing or of another type.
    """
    return check_content(read_object(path), str(path), model, advice, needs)


def check_content(
    content: dict[str, Any], source: str, model: type[JsonContent], advice: str, needs: Iterable[str] = ()
) -> dict[str, Any]:
    """An object that was read already; see :func:`read_checked`.

    Raises:
        SegkdError: as :func:`read_checked`.
    """
    try:
        model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = one_line(".".join(str(part) for part in first["loc"]), 120)
        raise SegkdError(f"{one_line(source)}: {place}: {one_line(first['msg'], 120)}; {advice}") from None
    for key in needs:
        require_key(content, source, key.split("."), advice)
    return content


def require_key(content: Mapping[str, Any], source: str, keys: Sequence[str], advice: str) -> None:
    """Refuse an object that lacks a key, or has null there where the last key does not end with ``?``.

    Raises:
        SegkdError: naming file and key.
    """
    path = [key.removesuffix("?") for key in keys]
    value: Any = content
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise SegkdError(f"{one_line(source)}: {one_line('.'.join(path), 120)}: is missing; {advice}")
        value = value[key]
    if value is None and not list(keys)[-1].endswith("?"):
        raise SegkdError(f"{one_line(source)}: {one_line('.'.join(path), 120)}: is null; {advice}")
