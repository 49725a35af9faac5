"""A process whose standard input and output are the connection to a device."""

from __future__ import annotations

from abc import ABC, abstractmethod

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.spec import TargetSpec

MIN_PYTHON = (3, 10)
_TOO_OLD = "segkd: too old: Python "
_EATEN = "segkd: input eaten"
# The first line of the input; a login script that reads the input takes it away.
MARK = b"#segkd\n"


class Transport(ABC):
    """How the agent is started.

    Args:
        spec: the device.
    """

    def __init__(self, spec: TargetSpec) -> None:
        self.spec = spec

    @abstractmethod
    def command(self, agent_bytes: int) -> list[str]:
        """The process to start; it runs the first ``agent_bytes`` of its input as a program."""

    @abstractmethod
    def explain(self, code: int | None, stderr: str, stdout: str = "", *, waited_s: float | None = None) -> SegkdError:
        """Why the process ended before the agent answered.

        Args:
            code: its exit code.
            stderr: what it wrote.
            stdout: what it wrote there instead of the agent.
            waited_s: seconds of silence after which it was ended here; None if it ended by itself.
        """


def bootstrap(agent_bytes: int) -> str:
    """The Python program that reads the agent; even Python 2 understands it, to say that it is too old."""
    return (
        f'import sys;sys.version_info<{MIN_PYTHON} and sys.exit("{_TOO_OLD}"+sys.version.split()[0]);'
        f'sys.stdin.buffer.read({len(MARK)})=={MARK!r} or sys.exit("{_EATEN}");'
        f"exec(sys.stdin.buffer.read({agent_bytes}))"
    )


def explain_python(spec: TargetSpec, code: int | None, stderr: str) -> SegkdError | None:
    """The error for an interpreter that is not there or too old; None if it is something else."""
    if _TOO_OLD in stderr:
        version = stderr.split(_TOO_OLD, 1)[1].split()[0]
        return BackendMissing(
            f"{spec.name}: {spec.python} there is Python {version}, 3.10 is needed; name another as `python:` in "
            "devices.yaml"
        )
    if _EATEN in stderr:
        return SegkdError(
            f"{spec.name}: something there reads the standard input before segkd can, such as `read` in .bashrc or "
            ".profile; login scripts must leave it alone where there is no terminal"
        )
    if code in (126, 127):
        return BackendMissing(
            f"{spec.name}: {spec.python} does not start there ({last_line(stderr)}); install Python 3.10 or newer, or "
            "name it as `python:` in devices.yaml"
        )
    return None


def last_line(stderr: str) -> str:
    """What a process said last."""
    return (stderr.strip().splitlines() or ["no message"])[-1].strip()
