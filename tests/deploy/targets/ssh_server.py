"""An OpenSSH server on loopback, for a user who has nothing: no torch, no checkout, no data."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"
_START_S = 20.0


@dataclass
class SshServer:
    """A running server.

    Attributes:
        folder: its keys and the client's configuration.
        home: the user's home folder.
        user: the user's name.
        port: on 127.0.0.1.
        process: the listening sshd.
    """

    folder: Path
    home: Path
    user: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}"

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "segkd"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def trust(self) -> None:
        """Write the host key where the client looks for it."""
        key = (self.folder / "host_key.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key}")

    def processes(self) -> dict[int, str]:
        """The user's processes: number -> command line."""
        uid = pwd.getpwnam(self.user).pw_uid
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    if entry.stat().st_uid == uid and words:
                        found[int(entry.name)] = words
        return found

    def wait_until_idle(self, timeout_s: float = 20.0) -> dict[int, str]:
        """What is still running after some time; empty as soon as nothing does."""
        end = time.monotonic() + timeout_s
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def lines(self) -> list[int]:
        """The server's processes for open connections."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children]

    def cut(self) -> int:
        """Kill the server's side of every open connection; how many there were."""
        lines = self.lines()
        for pid in lines:
            with contextlib.suppress(ProcessLookupError):
                # The monitor and the unprivileged child that talks to the client.
                for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
        return len(lines)


def why_not() -> str | None:
    """Why no server can be started here; None if one can."""
    if os.geteuid() != 0:
        return "making a user needs root"
    for program in ("/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/usr/sbin/useradd", SYSTEM_PYTHON):
        if not os.access(program, os.X_OK):
            return f"{program} is missing (apt-get install openssh-server openssh-client python3)"
    version = subprocess.run([SYSTEM_PYTHON, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"3\.(\d+)", version)
    return None if match and int(match[1]) >= 10 else f"{SYSTEM_PYTHON} is {version.strip()}, not 3.10 or newer"


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Make the user, the keys and the server; all of them are gone afterwards."""
    user = f"segkd-{uuid.uuid4().hex[:8]}"
    home = Path("/tmp") / f"{user}-home"
    subprocess.run(["/usr/sbin/useradd", "--create-home", "--home-dir", home, "--shell", "/bin/bash", user], check=True)
    server = None
    try:
        # "*" instead of "!": no password, but not locked, which some sshd refuse.
        subprocess.run(["/usr/sbin/usermod", "-p", "*", user], check=True)
        port = _free_port()
        _write_keys(folder, home, user)
        config = _server_config(folder, port)
        Path("/run/sshd").mkdir(exist_ok=True)
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
        with (folder / "sshd.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        server = SshServer(folder, home, user, port, process)
        _wait_for(server)
        server.trust()
        yield server
    finally:
        if server is not None:
            server.cut()
            server.process.terminate()
            server.process.wait()
            for pid in server.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            server.wait_until_idle()
        subprocess.run(["/usr/sbin/userdel", user], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def write_client(server: SshServer, folder: Path, identity: Path | None = None) -> Path:
    """A folder with an ``ssh`` that reads a configuration of its own instead of the user's; to put first on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config"
    config.write_text(
        f"Host board\n  HostName 127.0.0.1\n  User {server.user}\n  Port {server.port}\n"
        f"Host *\n  IdentityFile {identity or server.folder / 'key'}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {server.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
    )
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {config} "$@"\n')
    program.chmod(0o755)
    return folder


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _write_keys(folder: Path, home: Path, user: str) -> None:
    make_key(folder / "host_key")
    make_key(folder / "key")
    shutil.copyfile(folder / "key.pub", folder / "authorized_keys")
    entry = pwd.getpwnam(user)
    # sshd reads it as the user.
    target = home / ".ssh"
    target.mkdir(mode=0o700)
    shutil.move(folder / "authorized_keys", target / "authorized_keys")
    for path in (target, target / "authorized_keys"):
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _server_config(folder: Path, port: int) -> Path:
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\nPidFile none\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication yes\nStrictModes no\n"
        "PrintMotd no\nX11Forwarding no\nLogLevel INFO\nMaxStartups 50\n"
    )
    return config


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: SshServer) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and server.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"sshd did not start: {(server.folder / 'sshd.log').read_text()}")
