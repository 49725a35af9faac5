"""What a machine's power is made of, so that every number says what it covers."""

from __future__ import annotations

from dataclasses import dataclass

from segkd_deploy.telemetry.rails import TOTALS, choose_total


@dataclass(frozen=True)
class PowerSource:
    """The sensors whose sum is reported as power.

    Attributes:
        rails: keys of ``Sample.power_w``.
        counters: keys of ``Sample.energy_j``.
        scope: what they feed; None if there is no power.
        reason: why there is no power; None if there is.
    """

    rails: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    scope: str | None = None
    reason: str | None = None

    @property
    def name(self) -> str | None:
        """The names of the sensors joined by ``+``; None if there is no power."""
        return "+".join((*self.rails, *self.counters)) or None


def jetson_source(board: str | None, model: str | None, names: list[str]) -> PowerSource:
    """The total of a Jetson's rails.

    Args:
        board: the module, a key of ``segkd_deploy.chips.CHIPS``; None for an unknown one.
        model: its name in the device tree.
        names: the rails that it has.
    """
    total = choose_total(board, names)
    if total is not None:
        return PowerSource(rails=total.rails, scope=total.scope)
    if board is None or board not in TOTALS:
        return PowerSource(reason=f"power is not available: no rule says which rails of {model!r} make its total")
    wanted = " or ".join("+".join(total.rails) for total in TOTALS[board])
    return PowerSource(reason=f"power is not available: {board} needs {wanted}, found {', '.join(names) or 'no rail'}")


def computer_source(counters: list[str], rails: list[str], reasons: list[str]) -> PowerSource:
    """Everything that an x86 machine tells.

    Args:
        counters: its energy counters (RAPL, GPU).
        rails: what only tells its present power (a GPU before Volta).
        reasons: why a kind of sensor is missing.
    """
    if not counters and not rails:
        return PowerSource(reason=f"power is not available: {'; '.join(reasons) or 'no sensor'}")
    words = {"package": "processor packages", "dram": "memory", "gpu": "GPU"}
    names = [*counters, *rails]
    scope = ", ".join(text for word, text in words.items() if any(name.startswith(word) for name in names))
    return PowerSource(rails=tuple(rails), counters=tuple(counters), scope=scope)
