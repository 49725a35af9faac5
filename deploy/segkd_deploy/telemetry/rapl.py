"""Energy counters of x86 processors (RAPL), through /sys/class/powercap."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from segkd_deploy.telemetry.sysfs import matching, read_number, read_text

# Parts that no other part contains: core and uncore lie inside their package, psys contains the packages.
DOMAINS = re.compile(r"package-\d+|dram")


@dataclass
class EnergyCounter:
    """A counter of microjoules that starts again at 0 after its range.

    Attributes:
        name: ``package-0``, or ``dram-0`` for the memory of package 0.
        file: the counter.
        range_uj: how far it counts.
    """

    name: str
    file: Path
    range_uj: float
    _last_uj: float | None = field(default=None, repr=False)
    _total_uj: float = field(default=0.0, repr=False)

    def read_j(self) -> float | None:
        """Energy in joules since the first call; None while it is not readable."""
        now_uj = read_number(self.file)
        if now_uj is None:
            return None
        if self._last_uj is not None:
            step_uj = now_uj - self._last_uj
            self._total_uj += step_uj if step_uj >= 0 else step_uj + self.range_uj
        self._last_uj = now_uj
        return self._total_uj / 1e6


def find_energy_counters(root: Path) -> tuple[list[EnergyCounter], str | None]:
    """The counters that this process may read.

    Returns:
        The counters, and if there is none, why.
    """
    found, refused = [], []
    for folder in matching(root, "/sys/class/powercap/intel-rapl:*"):
        name = read_text(folder / "name") or ""
        if DOMAINS.fullmatch(name) is None:
            continue
        if name == "dram":
            name = f"dram-{folder.name.split(':')[1]}"
        file = folder / "energy_uj"
        if read_number(file) is None:
            refused.append(file)
            continue
        found.append(EnergyCounter(name, file, read_number(folder / "max_energy_range_uj") or 0.0))
    if refused and not found:
        return [], f"{refused[0]} is not readable; run as root, or let root run chmod a+r on it"
    return found, None if found else "no RAPL counter under /sys/class/powercap"
