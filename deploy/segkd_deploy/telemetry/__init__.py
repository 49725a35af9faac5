"""Device state, power, heat and throttling, read from the system's own files; and clocks that stay where they are.

No module here imports numpy, torch or anything but the standard library at the top, so that the sampling process
stays small. Every path is taken below ``root``, which tests point at a tree of their own.

    from segkd_deploy import telemetry

    state = telemetry.read_state(root)            # -> DeviceState; state.to_dict() is ready for JSON
    with telemetry.locked_clocks(root):           # only with --lock-clocks; always restored
        with telemetry.Sampler(root, hz=20) as sampler:
            idle_w = sampler.idle_w(5.0)          # before anything runs; None where no power is measured
            start_ns = time.monotonic_ns()        # on Linux the same clock as time.perf_counter_ns()
            ...                                   # the timed window
            end_ns = time.monotonic_ns()
    measured = sampler.telemetry(start_ns, end_ns)     # -> Telemetry(samples, power, thermal, throttled, reasons)
    used = telemetry.energy(measured, start_ns, end_ns, frames, idle_w)
    used.fields()                                 # the ``power`` object of bench.json (POWER_FIELDS)
    measured.thermal.fields()                     # the ``thermal`` object of bench.json (THERMAL_FIELDS)
    measured.reasons, used.warnings               # what makes the run invalid; what to know when using the numbers

- ``state``, ``jetson``, ``nvml``: the device at one moment; ``clocks``, ``thermal``, ``rails``, ``rapl``: its sensors
- ``sysfs``: reading them; ``sensors``, ``sample``: all at once; ``sampler``, ``sampling_process``: beside a measurement
- ``telemetry``, ``integrate``, ``energy``, ``power_source``: a window's numbers; ``throttle``: why it does not count
- ``lock_clocks``, ``clock_settings``, ``clock_watchdog``: clocks that stay where they are
"""

from segkd_deploy.telemetry.energy import Energy, energy
from segkd_deploy.telemetry.lock_clocks import LockedClocks, locked_clocks, restore_leftovers
from segkd_deploy.telemetry.power_source import PowerSource
from segkd_deploy.telemetry.sample import Sample
from segkd_deploy.telemetry.sampler import Sampler
from segkd_deploy.telemetry.state import DeviceState, read_state
from segkd_deploy.telemetry.telemetry import Telemetry, Thermal

__all__ = [
    "DeviceState",
    "Energy",
    "LockedClocks",
    "PowerSource",
    "Sample",
    "Sampler",
    "Telemetry",
    "Thermal",
    "energy",
    "locked_clocks",
    "read_state",
    "restore_leftovers",
]
