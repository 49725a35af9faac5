"""``metrics.jsonl`` and TensorBoard: one line per event, cut back to the checkpoint when a run resumes."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd.files import finite, write_atomic
from segkd.files.small_files import JSON_BYTES, read_text
from segkd.folders import RunFiles

REMEDY = "lower train.lr or a method's weight, raise train.warmup_iters, or turn --amp off"


class MetricsLog:
    """Appends events to ``metrics.jsonl`` and to TensorBoard event files in ``tensorboard/``.

    Args:
        run: the run folder.
        step: steps that are done; events after it, left by a run that died, are removed.
        validated: whether this step's validation, if it has one, is done; otherwise its event is removed as well.
    """

    def __init__(self, run: Path, step: int, *, validated: bool = True) -> None:
        path = run / RunFiles.METRICS
        if path.exists():
            write_atomic(path, "".join(f"{line}\n" for line in lines_until(path, step, validated=validated)))
        self._file = path.open("a", encoding="utf-8")
        self._writer = _tensorboard_writer(run / RunFiles.TENSORBOARD, step)

    def __enter__(self) -> MetricsLog:
        """The log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is left and close the files."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def write(self, step: int, event: str, values: dict[str, Any]) -> None:
        """Add one event; plain numbers among its values go to TensorBoard as ``event/name``."""
        self._file.write(json.dumps(finite({"step": step, "event": event, **values}), allow_nan=False) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                if isinstance(value, float | int) and not isinstance(value, bool):
                    self._writer.add_scalar(f"{event}/{name}", value, step)

    def flush(self) -> None:
        """Bring TensorBoard's file up to date."""
        if self._writer is not None:
            self._writer.flush()


class TermMeans:
    """Means of the terms of the loss since the last log, and the guard against terms that are not finite."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: dict[str, Tensor], step: int) -> None:
        """Add one batch's terms; on a GPU this is the step's one wait for the device.

        Raises:
            SegkdError: naming the terms that are not finite.
        """
        values = torch.stack([term.detach() for term in terms.values()]).tolist()
        bad = [f"{name} is {value}" for name, value in zip(terms, values, strict=True) if not math.isfinite(value)]
        if bad:
            saved = "last.ckpt is left as it was" if step else "nothing is saved"
            raise SegkdError(
                f"step {step}: {', '.join(bad)}; stopped before this step changed the weights, {saved}: {REMEDY}"
            )
        for name, value in zip(terms, values, strict=True):
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """``loss`` (the sum of all) and each term's mean; begins anew."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return {"loss": math.fsum(means.values()), **means}

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"sums": dict(self.sums), "counts": dict(self.counts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])


def diverged(what: str) -> SegkdError:
    """The error for a run whose weights became useless; ``what`` ends with "is" or "are"."""
    return SegkdError(f"{what} not finite: the training diverged and cannot go on from here; begin again: {REMEDY}")


def lines_until(path: Path, step: int, *, validated: bool = True) -> list[str]:
    """The lines of a log up to a step, ``validated`` or not; a last line that was cut off by a crash is dropped."""
    kept = []
    for line in read_text(path, JSON_BYTES).splitlines():
        try:
            event = json.loads(line)
            if event["step"] < step or (event["step"] == step and (validated or event["event"] != "eval")):
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    return kept


def _tensorboard_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print("no TensorBoard events are written: pip install tensorboard", file=sys.stderr)
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
