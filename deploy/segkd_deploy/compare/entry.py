"""One row of a comparison: a run, or a variant of an artifact on one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Accuracy:
    """An mIoU and what it was measured on.

    Attributes:
        miou: 0..1.
        basis: ``data set`` or ``reference frames``; the two are never the same pixels.
        fingerprint: identity of the data or of the reference frames with their truth.
        data: how the data set was named.
        images: how many.
        protocol: whose rules, where the files say it.
    """

    miou: float
    basis: Literal["data set", "reference frames"]
    fingerprint: str | None
    data: str | None = None
    images: int | None = None
    protocol: str | None = None

    def words(self) -> str:
        """What it was measured on, for messages and legends."""
        named = self.data or "a data set that no file names"
        what = "reference frames" if self.basis == "reference frames" else f"images of {named}"
        number = "" if self.images is None else f"{self.images} "
        return f"{number}{what} (fingerprint {self.fingerprint or 'unknown'})"


@dataclass(frozen=True)
class Condition:
    """What latencies must share to be compared.

    Attributes:
        device: model of the board or CPU.
        power_mode: the Jetson's nvpmodel; None elsewhere.
        clocks_locked: whether the clocks were fixed; None where nobody can say.
        scenario: as ``segkd bench`` names it.
        batch: frames per call.
        includes_transfers: whether copies to and from the device are inside.
    """

    device: str | None
    power_mode: str | None
    clocks_locked: bool | None
    scenario: str | None
    batch: int | None
    includes_transfers: bool | None

    def words(self) -> str:
        """For a legend."""
        clocks = {True: "clocks locked", False: "clocks not locked", None: None}[self.clocks_locked]
        transfers = "without transfers" if self.includes_transfers is False else None
        batch = None if self.batch in (None, 1) else f"batch {self.batch}"
        mode = None if self.power_mode is None else f"power mode {self.power_mode}"
        parts = (self.device or "unknown device", mode, clocks, self.scenario, batch, transfers)
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Measured:
    """A ``bench.json``.

    Attributes:
        condition: device, its state, and how was measured.
        runtime: name, version, provider and threads.
        p50_ms: median latency of a call.
        p99_ms: its 99th percentile.
        throughput_fps: frames per second.
        energy_mj: energy per frame, gross.
        net_energy_mj: the same without what the device takes when idle.
        rss_bytes: peak memory of the process.
        invalid: why the numbers must not be used.
        file: where it was read.
    """

    condition: Condition
    runtime: str
    p50_ms: float | None
    p99_ms: float | None
    throughput_fps: float | None
    energy_mj: float | None
    net_energy_mj: float | None
    rss_bytes: int | None
    invalid: tuple[str, ...]
    file: str


@dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        name: unique in the comparison.
        kind: a trained run, or a variant of an artifact.
        source: folder or file that it comes from.
        size_px: height and width; of a variant what the camera gives, of a run what it was trained at.
        classes: class names; None if no file says them.
        size_bytes: of the graph, or of the run's weights.
        params: number of parameters, of runs.
        variant: its name, for variants.
        precision: of a variant.
        accuracy: None if it was not scored.
        measured: None if it was not measured.
        problems: why it must not be compared.
        notes: what else a reader must know.
    """

    name: str
    kind: Literal["run", "variant"]
    source: str
    size_px: tuple[int, int] | None = None
    classes: tuple[str, ...] | None = None
    size_bytes: int | None = None
    params: int | None = None
    variant: str | None = None
    precision: str | None = None
    accuracy: Accuracy | None = None
    measured: Measured | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def invalid(self) -> tuple[str, ...]:
        """Every reason not to use its numbers."""
        return self.problems + (() if self.measured is None else self.measured.invalid)

    def value(self, name: str) -> float | None:
        """A number by its name in the table: ``latency`` (p50, ms), ``energy`` (mJ per frame), ``size`` (MB)."""
        measured = self.measured
        values: dict[str, Any] = {
            "latency": None if measured is None else measured.p50_ms,
            "energy": None if measured is None else measured.energy_mj,
            "size": None if self.size_bytes is None else self.size_bytes / 1e6,
        }
        number: float | None = values[name]
        return number
