"""Which files lock the clocks at the highest frequency of the power mode, and how to put them back."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

from segkd.errors import SegkdError
from segkd.files import write_atomic
from segkd_deploy.telemetry.clocks import Clock, find_clocks
from segkd_deploy.telemetry.sysfs import read_text, under

PERFORMANCE = "performance"
# In tmpfs: a reboot, which resets the clocks, forgets it as well.
STATE_FOLDER = "/run/segkd"
JETSON_CLOCKS = ("/usr/bin/jetson_clocks", "/usr/sbin/jetson_clocks")
COMMAND_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Setting:
    """A file and a value for it."""

    path: str
    value: str


@dataclass(frozen=True)
class SavedClocks:
    """What undoes a lock.

    Attributes:
        settings: the old values in the order in which they were replaced.
        jetson_clocks: the command that locked; None if the files were written here.
        store: the file that ``jetson_clocks --store`` wrote.
    """

    settings: tuple[Setting, ...] = field(default=())
    jetson_clocks: str | None = None
    store: str | None = None

    def to_text(self) -> str:
        """JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_text(cls, text: str) -> SavedClocks:
        """Reads what ``to_text`` wrote."""
        content = json.loads(text)
        return cls(tuple(Setting(**one) for one in content["settings"]), content["jetson_clocks"], content["store"])


def state_file(root: Path) -> Path:
    """Where the old values lie while clocks are locked."""
    return under(root, STATE_FOLDER) / "clocks.json"


def find_jetson_clocks(root: Path) -> Path | None:
    """NVIDIA's command; None where it is not installed."""
    paths = [under(root, path) for path in JETSON_CLOCKS]
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def plan_lock(root: Path) -> list[Setting]:
    """The files to write, in their order, and what to write."""
    settings = []
    for clock in find_clocks(root):
        settings += _lock_clock(clock)
    return settings


def _lock_clock(clock: Clock) -> list[Setting]:
    highest_hz = clock.highest_hz()
    if highest_hz is None:
        return []
    highest = str(round(highest_hz / clock.hz_per_unit))
    if clock.override is not None:
        return [Setting(str(clock.override), "1"), Setting(str(clock.current), highest)]
    settings = []
    if clock.kind == "cpu" and clock.governor is not None:
        offered = (read_text(clock.governor.with_name("scaling_available_governors")) or "").split()
        settings += [Setting(str(clock.governor), PERFORMANCE)] if PERFORMANCE in offered else []
    return [*settings, Setting(str(clock.lowest), highest)]


def save_settings(settings: list[Setting]) -> SavedClocks:
    """The present values of the files that will be written.

    Raises:
        SegkdError: if one cannot be read, since it could not be put back, or cannot be written.
    """
    saved = []
    for setting in settings:
        if not os.access(setting.path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise SegkdError(f"locking clocks needs root: {setting.path} is not writable; use sudo")
        value = read_text(Path(setting.path))
        if value is None:
            raise SegkdError(f"{setting.path} cannot be read, so its clock cannot be locked and put back")
        saved.append(Setting(setting.path, value))
    return SavedClocks(tuple(saved))


def write_setting(setting: Setting) -> None:
    """Write one file; sysfs takes a value in one write.

    Raises:
        SegkdError: if the kernel refuses.
    """
    try:
        file = os.open(setting.path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(file, f"{setting.value}\n".encode())
        finally:
            os.close(file)
    except OSError as error:
        raise SegkdError(f"{setting.path}: {setting.value} was refused ({error.strerror})") from error


def run_jetson_clocks(command: str, *arguments: str) -> None:
    """Run NVIDIA's command.

    Raises:
        SegkdError: if it fails, with the last line it wrote.
    """
    try:
        done = subprocess.run(
            [command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SegkdError(f"{command}: {error}") from error
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1]
        raise SegkdError(f"{' '.join([command, *arguments])} failed: {last}")


def write_state(root: Path, saved: SavedClocks) -> None:
    """Write down what undoes the lock, before anything is changed.

    Raises:
        SegkdError: if that is not possible, which without root it is not.
    """
    try:
        write_atomic(state_file(root), saved.to_text())
    except PermissionError as error:
        raise SegkdError(f"locking clocks needs root: {state_file(root)} is not writable; use sudo") from error


def restore_saved(root: Path) -> list[str]:
    """Put everything back that the state file names, and remove the file.

    Every setting is tried, whatever happens to the others; the file stays if one of them fails, so that the next
    run tries again. Does nothing without a state file.

    Returns:
        What failed, a sentence each.
    """
    file = state_file(root)
    try:
        saved = SavedClocks.from_text(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{file} cannot be read ({error}); restart the machine to put the clocks back"]

    failures = []
    if saved.jetson_clocks is not None and saved.store is not None:
        try:
            run_jetson_clocks(saved.jetson_clocks, "--restore", saved.store)
        except SegkdError as error:
            failures.append(str(error))
    for setting in reversed(saved.settings):
        try:
            write_setting(setting)
        except SegkdError as error:
            failures.append(str(error))

    if not failures:
        file.unlink(missing_ok=True)
        if saved.store is not None:
            Path(saved.store).unlink(missing_ok=True)
    return failures
