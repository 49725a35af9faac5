"""``--target`` for a command that measures an artifact: the same command, run on a device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from segkd_deploy.artifact import Artifact
    from segkd_deploy.targets.session import Say
    from segkd_deploy.targets.spec import TargetSpec

Command = TypeVar("Command", bound=Callable[..., Any])

# Not repeated on the device: they say where, or are given there by `Remote.run`.
_OWN = {"artifact", "out", "as_json", "target", "devices_file", "accept_new_host_key", "runtime", "provider"}
# What a device cannot see, and what to do instead.
_READ_HERE = {"data": "there the reference frames are compared", "recipe": "give its limits with --gate"}


@dataclass(frozen=True)
class Remote:
    """Another machine to run the command on.

    Attributes:
        spec: the device.
        words: the options to repeat there.
    """

    spec: TargetSpec
    words: tuple[str, ...]

    def run(self, command: str, artifact: Artifact, path: Path, runtime: str, provider: str | None) -> dict[str, Any]:
        """Run there; the evidence, which lies at ``path`` afterwards."""
        return run_command(
            self.spec,
            artifact,
            command,
            self.words,
            path,
            runtime=runtime,
            provider=provider,
            say=lambda line: click.echo(f"{self.spec.name}: {line}", err=True),
        )


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
        SegkdError: if the device cannot run it (see ``run_on_target``), or the command wrote no evidence there.
    """
    import threading

    from segkd.errors import SegkdError
    from segkd.files import read_json
    from segkd_deploy.runners import default_provider
    from segkd_deploy.targets.in_threads import in_threads
    from segkd_deploy.targets.job import ARTIFACT, OUT, Step, Timeouts, run_on_target

    provider = provider or spec.provider or default_provider(runtime)
    words = [*words, "--runtime", runtime, "--provider", provider, "--out", f"{OUT}/{path.name}"]
    steps, cancel = [Step.segkd(command, ARTIFACT, *words)], threading.Event()
    run = functools.partial(
        run_on_target, spec, artifact, steps, path.parent, runtime=runtime, timeouts=Timeouts(), say=say, cancel=cancel
    )
    (outcome,) = in_threads([run], cancel)
    if path not in outcome.files:
        raise SegkdError(f"{spec.name}: {command} wrote nothing there; the lines above say why")
    result: dict[str, Any] = read_json(path)
    return result


def target_options(command: Command) -> Command:
    """Add ``--target`` and what belongs to it, given to the command as ``remote: Remote | None``."""

    @functools.wraps(command)
    def with_remote(
        *args: Any, target: str | None, devices_file: Path | None, accept_new_host_key: bool, **options: Any
    ) -> Any:
        from segkd_deploy.targets.devices import resolve_targets
        from segkd_deploy.targets.spec import LOCAL

        context, remote = click.get_current_context(), None
        if target is not None and target != LOCAL:
            for name, instead in _READ_HERE.items():
                if options.get(name) is not None:
                    raise click.UsageError(f"--{name} is read here and a --target has no files of yours; {instead}")
            (spec,) = resolve_targets([target], devices_file=devices_file, accept_new_host_key=accept_new_host_key)
            remote = Remote(spec, _words(context))
            for name in ("runtime", "provider"):
                if getattr(spec, name) is not None and not _was_given(context, name):
                    options[name] = getattr(spec, name)
        return command(*args, remote=remote, **options)

    for option in (
        click.option("--accept-new-host-key", is_flag=True, help="Take and remember a host key that was never seen."),
        click.option("--devices", "devices_file", type=click.Path(path_type=Path), help="File that names devices."),
        click.option("--target", help="Run there: ssh://user@host[:port] or a name.  [default: local]"),
    ):
        with_remote = option(with_remote)
    return with_remote  # type: ignore[return-value]


def _words(context: click.Context) -> tuple[str, ...]:
    """The options that were given, as words again."""
    words: list[str] = []
    for parameter in context.command.params:
        if parameter.name in _OWN or not _was_given(context, parameter.name or ""):
            continue
        value, flag = context.params[parameter.name or ""], parameter.opts[-1]
        if isinstance(parameter, click.Option) and parameter.is_flag:
            words.append(flag if value else parameter.secondary_opts[-1])
        elif parameter.multiple:
            words += [word for one in value for word in (flag, str(one))]
        else:
            words += [flag, str(value)]
    return tuple(words)


def _was_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
