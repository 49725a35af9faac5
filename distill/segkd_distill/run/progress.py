"""Progress of long work on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LINE_EVERY_S = 10.0
# Weight of the newest second in the speed that the ETA rests on.
_SMOOTHING = 0.1


class ProgressReport:
    """Shows steps done, speed, time left, and a note such as the loss.

    Args:
        what: first word of the line, for example ``train``.
        total: steps of the whole work.
        start: steps that were done before.
        images_per_step: for the img/s.
    """

    def __init__(self, what: str, total: int, *, start: int = 0, images_per_step: int = 1) -> None:
        self.what, self.total, self.images_per_step = what, total, images_per_step
        self.note = ""
        self._step = start
        self._step_s: float | None = None
        self._last = self._last_line = time.perf_counter()
        self._bar: Progress | None = None
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
            self._bar = Progress(*columns, TextColumn("{task.fields[status]}"), console=console, transient=True)
            self._task = self._bar.add_task(what, total=total, completed=start, status="")

    def __enter__(self) -> ProgressReport:
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Tell that ``step`` steps are done."""
        now = time.perf_counter()
        if step > self._step:
            step_s = (now - self._last) / (step - self._step)
            self._step_s = step_s if self._step_s is None else self._step_s + _SMOOTHING * (step_s - self._step_s)
        self._step, self._last = step, now
        if self._bar is not None:
            self._bar.update(self._task, completed=step, status=self.status())
        elif now - self._last_line >= LINE_EVERY_S:
            self._last_line = now
            print(f"{self.what} {step}/{self.total}  {self.status()}", file=sys.stderr, flush=True)

    def pause(self) -> None:
        """Leave out the time until now, which other work took, from the speed."""
        self._last = time.perf_counter()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    @property
    def images_per_s(self) -> float | None:
        """Images per second of the latest steps, None before the first."""
        return self.images_per_step / self._step_s if self._step_s else None

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the latest speed, None before the first step."""
        return (self.total - self._step) * self._step_s if self._step_s is not None else None

    def status(self) -> str:
        """Note, speed and time left as one text."""
        parts = [self.note] if self.note else []
        if self.images_per_s is not None and self.eta_s is not None:
            parts += [f"{self.images_per_s:.1f} img/s", f"ETA {clock(self.eta_s)}"]
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
