"""The process whose standard input and output are the connection to a device: on this machine, or behind ``ssh``.

It is the system's own ``ssh``, so that ``~/.ssh/config``, agents, known hosts and jump hosts all hold.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from abc import ABC, abstractmethod

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.spec import TargetSpec

MIN_PYTHON = (3, 10)
_TOO_OLD = "segkd: too old: Python "
_EATEN = "segkd: input eaten"
# The first line of the input; a login script that reads the input takes it away.
MARK = b"#segkd\n"

CONNECT_TIMEOUT_S = 10
SSH_FAILED = 255

# Nobody is asked anything, nothing but this one channel is opened, and a dead line is noticed within 15 s. A control
# socket of the user's is used if there is one, but no master is left behind.
SSH_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={CONNECT_TIMEOUT_S}",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "LogLevel=ERROR",
)

# What ssh says -> exit code and message; the first that is found counts. {host} is the device's name.
_CHANGED = "the host key has CHANGED: someone may be in between; if the device was set up anew, `ssh-keygen -R {host}`"
_UNKNOWN = "the host key is unknown: connect once with ssh and compare the fingerprint, or give --accept-new-host-key"
_REFUSED = "no key is accepted for this user: `ssh-copy-id {address}`, or name the key in ~/.ssh/config"
_NO_SHELL = "this user may not run commands there ({last}); name another user, or give it a shell"
_WAITS = (
    "connected, but nothing answered within {seconds:.0f} s: a login script that waits (.bashrc, .profile), or a "
    "device that hangs; `ssh {options}{login} true` must end at once"
)
_SILENT = (
    "the connection was closed without a word: is it an SSH server on this port, and may this user run commands there "
    "(a shell, not sftp alone)? `ssh -v {options}{login} true` says more"
)
FAILURES: tuple[tuple[str, type[SegkdError], str], ...] = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", SegkdError, _CHANGED),
    ("Host key verification failed", SegkdError, _UNKNOWN),
    ("Permission denied", SegkdError, _REFUSED),
    ("Too many authentication failures", SegkdError, _REFUSED),
    ("account is currently not available", SegkdError, _NO_SHELL),
    ("allows sftp connections only", SegkdError, _NO_SHELL),
    ("Could not resolve hostname", SegkdError, "there is no host of this name: {last}"),
    ("Bad configuration option", SegkdError, "ssh cannot read its configuration: {last}"),
    ("Connection refused", BackendMissing, "nothing listens there: is the device on, and sshd running on this port?"),
    ("Connection timed out", BackendMissing, "no answer within {seconds} s: is the device on and in this network?"),
    ("Operation timed out", BackendMissing, "no answer within {seconds} s: is the device on and in this network?"),
    ("No route to host", BackendMissing, "there is no way to it: is the device on and in this network?"),
)


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


class LocalTransport(Transport):
    """The agent in a process of this machine, run by the Python that runs this."""

    def command(self, agent_bytes: int) -> list[str]:
        """This interpreter."""
        return [sys.executable, "-c", bootstrap(agent_bytes)]

    def explain(self, code: int | None, stderr: str, stdout: str = "", *, waited_s: float | None = None) -> SegkdError:
        """What it said last."""
        return BackendMissing(f"{self.spec.name}: the agent did not start: {last_line(stderr)}")


class SshTransport(Transport):
    """The agent behind one ``ssh`` process."""

    def command(self, agent_bytes: int) -> list[str]:
        """``ssh`` with the options above.

        Raises:
            BackendMissing: if this machine has no ssh.
        """
        program = shutil.which("ssh")
        if program is None:
            raise BackendMissing("ssh is not installed here: apt-get install openssh-client")
        spec = self.spec
        words = [program, "-T"]
        for option in (*SSH_OPTIONS, f"StrictHostKeyChecking={'accept-new' if spec.accept_new_host_key else 'yes'}"):
            words += ["-o", option]
        if spec.port is not None:
            words += ["-p", str(spec.port)]
        if spec.user is not None:
            words += ["-l", spec.user]
        return [*words, "--", str(spec.host), f"exec {_quoted(spec.python)} -c {shlex.quote(bootstrap(agent_bytes))}"]

    def explain(self, code: int | None, stderr: str, stdout: str = "", *, waited_s: float | None = None) -> SegkdError:
        """Ssh's own words, as one line that says what to do."""
        spec = self.spec
        where = _names(spec.name, spec.address)
        command = {
            "options": "" if spec.port is None else f"-p {spec.port} ",
            "login": spec.host if spec.user is None else f"{spec.user}@{spec.host}",
        }

        if waited_s is not None:
            return BackendMissing(f"{where}: {_WAITS.format(seconds=waited_s, **command)}")
        if code != SSH_FAILED:
            found = explain_python(spec, code, stderr)
            if found is not None:
                return found

        said = f"{stdout}\n{stderr}"
        last = last_line(said)
        for words, kind, message in FAILURES:
            if words.lower() in said.lower():
                host = f"[{spec.host}]:{spec.port}" if spec.port else str(spec.host)
                text = message.format(host=host, address=spec.address, last=last, seconds=CONNECT_TIMEOUT_S)
                return kind(f"{where}: {text}")

        if not said.strip():
            return BackendMissing(f"{where}: {_SILENT.format(**command)}")
        return BackendMissing(f"{where}: ssh ended with {code}: {last}")


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


def _names(name: str, address: str) -> str:
    return name if name == address else f"{name} ({address})"


def _quoted(path: str) -> str:
    """For the shell there, which must still see a leading ``~/``."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)
