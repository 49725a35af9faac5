"""Which device, how it is reached, and what is used there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from segkd.errors import SegkdError

LOCAL = "local"
SSH_PREFIX = "ssh://"
_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_.][A-Za-z0-9_.\\-]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]|(?P<host>[A-Za-z0-9_.][A-Za-z0-9_.-]*))"
    r"(?::(?P<port>\d{1,5}))?/?"
)


@dataclass(frozen=True)
class TargetSpec:
    """A device.

    Attributes:
        name: what it is called in reports.
        host: name, address or alias of ``~/.ssh/config``; None for this machine.
        user: None for ssh's own choice.
        port: None for ssh's own choice.
        python: the interpreter there; ``~/`` is the home folder there.
        runtime: used unless the command line names one.
        provider: likewise.
        dependencies: ``wheels`` brings them, ``found`` uses what that Python has, ``auto`` the latter if all is there.
        folder: where files are kept there; None for ``~/.cache/segkd``.
        env: environment of what runs there; may hold secrets and is never shown.
        accept_new_host_key: whether a host key that was never seen is taken and remembered.
    """

    name: str
    host: str | None = None
    user: str | None = None
    port: int | None = None
    python: str = "python3"
    runtime: str | None = None
    provider: str | None = None
    dependencies: str = "auto"
    folder: str | None = None
    env: dict[str, str] = field(default_factory=dict, repr=False)
    accept_new_host_key: bool = False

    def copy_command(self, folder: str, out: str) -> str:
        """What to type to bring a folder of the device here.

        Args:
            folder: on the device.
            out: a folder here.
        """
        if self.host is None:
            return f"cp -r {folder} {out}"
        port = "" if self.port is None else f"-P {self.port} "
        host = f"[{self.host}]" if ":" in self.host else self.host
        login = host if self.user is None else f"{self.user}@{host}"
        return f"scp {port}-r {login}:{folder} {out}"

    @property
    def address(self) -> str:
        """How the device is named in messages: ``local`` or ``[user@]host[:port]``."""
        if self.host is None:
            return LOCAL
        port = "" if self.port is None else f":{self.port}"
        return f"{self.user}@{self.host}{port}" if self.user else f"{self.host}{port}"


def without_name(name: str, address: str, text: str) -> str:
    """A message about a device without the device's name before it, where the line begins with that already."""
    for start in (f"{name}: ", f"{name} ({address}): "):
        text = text.removeprefix(start)
    return text


def parse_address(text: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]`` as user, host and port.

    Raises:
        SegkdError: for anything else; so nothing that begins with ``-`` reaches ssh.
    """
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"]) if match is not None and match["port"] else None
    if match is None or (port is not None and not 0 < port < 65536):
        raise SegkdError(f"target {SSH_PREFIX}{text}: expected {SSH_PREFIX}[user@]host[:port]")
    return match["user"], match["ipv6"] or match["host"], port


def parse_url(text: str) -> TargetSpec | None:
    """``local`` or ``ssh://...``; None for a name.

    Raises:
        SegkdError: for a malformed address.
    """
    if text == LOCAL:
        return TargetSpec(LOCAL)
    if not text.startswith(SSH_PREFIX):
        return None
    user, host, port = parse_address(text.removeprefix(SSH_PREFIX))
    spec = TargetSpec(host, host=host, user=user, port=port)
    return TargetSpec(spec.address, host=host, user=user, port=port)
