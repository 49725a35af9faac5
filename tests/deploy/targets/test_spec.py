from __future__ import annotations

import pytest

from segkd.errors import SegkdError
from segkd_deploy.targets.spec import TargetSpec, parse_url, without_name


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("ssh://orin", None, "orin", None),
        ("ssh://nvidia@192.168.1.40:2222", "nvidia", "192.168.1.40", 2222),
        ("ssh://nvidia@[fe80::1%eth0]:22/", "nvidia", "fe80::1%eth0", 22),
    ],
)
def test_addresses(text: str, user: str | None, host: str, port: int | None) -> None:
    spec = parse_url(text)
    assert spec is not None
    assert (spec.user, spec.host, spec.port) == (user, host, port)


def test_local_and_names() -> None:
    assert parse_url("local") == TargetSpec("local")
    assert parse_url("orin") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "-oProxyCommand=x",
        "user@-oProxyCommand=x",
        "-l@host",
        "host:0",
        "host:65536",
        "host:x",
        "a@b@c",
        "h;ls",
    ],
)
def test_what_is_no_address_never_reaches_ssh(text: str) -> None:
    with pytest.raises(SegkdError, match=r"expected ssh://\[user@\]host\[:port\]"):
        parse_url(f"ssh://{text}")


def test_the_environment_is_not_shown() -> None:
    assert "hunter2" not in repr(TargetSpec("orin", host="orin", env={"TOKEN": "hunter2"}))


def test_a_name_is_said_once() -> None:
    assert without_name("dev", "me@dev:22", "dev (me@dev:22): no key") == "no key"
    assert without_name("dev", "me@dev:22", "dev: no key") == "no key"
    assert without_name("dev", "dev", "device: no key") == "device: no key"


def test_how_a_folder_is_brought_here() -> None:
    assert TargetSpec("dev", host="10.0.0.4", user="me", port=2222).copy_command("/a", "b") == (
        "scp -P 2222 -r me@10.0.0.4:/a b"
    )
    assert TargetSpec("dev", host="fe80::1").copy_command("/a", "b") == "scp -r [fe80::1]:/a b"
    assert TargetSpec("local").copy_command("/a", "b") == "cp -r /a b"
