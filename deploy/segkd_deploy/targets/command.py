"""One command of segkd on a device, for ``--target``."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError
from segkd.files import read_json
from segkd_deploy.artifact import Artifact
from segkd_deploy.runners import default_provider
from segkd_deploy.targets.in_threads import in_threads
from segkd_deploy.targets.job import ARTIFACT, OUT, Step, Timeouts, run_on_target
from segkd_deploy.targets.session import Say
from segkd_deploy.targets.spec import TargetSpec
from segkd_deploy.targets.stopping import ends_cleanly


def run_command(
    spec: TargetSpec,
    artifact: Artifact,
    command: str,
    words: Sequence[str],
    path: Path,
    *,
    runtime: str,
    provider: str | None,
    say: Say,
) -> dict[str, Any]:
    """Run ``segkd COMMAND ARTIFACT WORDS --out PATH`` on a device.

    Args:
        spec: the device.
        artifact: what is copied there.
        command: ``validate`` or ``bench``.
        words: more words of the command.
        path: where its evidence goes here; what it writes beside that goes beside it.
        runtime: a key of ``RUNNERS``.
        provider: None for the device's own, else the runtime's.
        say: is told what happens.

    Returns:
        The evidence.

    Raises:
        SegkdError: as ``run_on_target``, or if the command wrote no evidence there.
    """
    provider = provider or spec.provider or default_provider(runtime)
    words = [*words, "--runtime", runtime, "--provider", provider, "--out", f"{OUT}/{path.name}"]
    steps, cancel = [Step.segkd(command, ARTIFACT, *words)], threading.Event()
    run = functools.partial(
        run_on_target, spec, artifact, steps, path.parent, runtime=runtime, timeouts=Timeouts(), say=say, cancel=cancel
    )
    with ends_cleanly():
        (outcome,) = in_threads([run], cancel)
    if path not in outcome.files:
        raise SegkdError(f"{spec.name}: {command} wrote nothing there; the lines above say why")
    result: dict[str, Any] = read_json(path)
    return result
