"""A device behind the system's own ``ssh``, so that ``~/.ssh/config``, agents, known hosts and jump hosts all hold."""

from __future__ import annotations

import shlex
import shutil

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.targets.transport import Transport, bootstrap, explain_python, last_line

CONNECT_TIMEOUT_S = 10
SSH_FAILED = 255

# Nobody is asked anything, nothing but this one channel is opened, and a dead line is noticed within 15 s. A control
# socket of the user's is used if there is one, but no master is left behind.
OPTIONS = (
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
        for option in (*OPTIONS, f"StrictHostKeyChecking={'accept-new' if spec.accept_new_host_key else 'yes'}"):
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


def _names(name: str, address: str) -> str:
    return name if name == address else f"{name} ({address})"


def _quoted(path: str) -> str:
    """For the shell there, which must still see a leading ``~/``."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)
