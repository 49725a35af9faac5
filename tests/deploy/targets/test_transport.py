from __future__ import annotations

import itertools
import shlex
import subprocess
import sys

import pytest

from segkd.errors import BackendMissing
from segkd_deploy.targets.spec import TargetSpec
from segkd_deploy.targets.transport import MARK, SshTransport, bootstrap

SPEC = TargetSpec("orin", host="10.0.0.4", user="nvidia", port=2222, env={"TOKEN": "hunter2"})


@pytest.fixture(autouse=True)
def installed_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def options_of(words: list[str]) -> set[str]:
    return {value for flag, value in itertools.pairwise(words) if flag == "-o"}


def test_command_asks_nothing_opens_nothing_and_shows_no_secret() -> None:
    words = SshTransport(SPEC).command(99)
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no", "ControlMaster=no"} <= options_of(words)
    assert words[words.index("-p") + 1] == "2222" and words[words.index("-l") + 1] == "nvidia"
    assert words[-3:-1] == ["--", "10.0.0.4"]  # nothing after this is an option of ssh
    assert "hunter2" not in " ".join(words)


def test_unsaid_things_are_left_to_ssh() -> None:
    words = SshTransport(TargetSpec("orin", host="orin")).command(1)
    assert "-p" not in words and "-l" not in words


def test_a_new_host_key_is_accepted_only_if_told() -> None:
    accepting = TargetSpec("orin", host="orin", accept_new_host_key=True)
    assert "StrictHostKeyChecking=accept-new" in options_of(SshTransport(accepting).command(1))


@pytest.mark.parametrize(
    ("python", "word"), [("python3", "python3"), ("~/my env/python", "~/'my env/python'"), ("a;b", "'a;b'")]
)
def test_the_shell_there_sees_one_interpreter(python: str, word: str) -> None:
    line = SshTransport(TargetSpec("orin", host="orin", python=python)).command(7)[-1]
    assert line == f"exec {word} -c {shlex.quote(bootstrap(7))}"


def test_bootstrap_runs_exactly_the_agent() -> None:
    program = b"import sys; print(sys.stdin.buffer.read())"
    command = [sys.executable, "-c", bootstrap(len(program))]
    done = subprocess.run(command, input=MARK + program + b"rest", capture_output=True, check=True)
    assert done.stdout == b"b'rest'\n"
    eaten = subprocess.run(command, input=program + b"rest", capture_output=True, text=False, check=False)
    assert eaten.returncode == 1 and eaten.stdout == b"" and len(eaten.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "stderr", "exit_code", "message"),
    [
        (255, "ssh: connect to host 10.0.0.4 port 22: Connection refused", 3, "nothing listens there"),
        (255, "ssh: connect to host 10.0.0.4 port 22: Connection timed out", 3, "no answer within 10 s"),
        (255, "ssh: connect to host 10.0.0.4 port 22: No route to host", 3, "no way to it"),
        (255, "ssh: Could not resolve hostname orin: Name or service not known", 2, "no host of this name: ssh: Could"),
        (255, "No ED25519 host key is known\nHost key verification failed.", 2, "--accept-new-host-key"),
        (255, "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", 2, "has CHANGED"),
        (255, "nvidia@10.0.0.4: Permission denied (publickey,password).", 2, "ssh-copy-id nvidia@10.0.0.4:2222"),
        (255, "/home: line 3: Bad configuration option: foo", 2, "cannot read its configuration"),
        (255, "something new", 3, "ssh ended with 255: something new"),
        (
            127,
            "bash: line 1: exec: python3: not found",
            3,
            "python3 does not start there (bash: line 1: exec: python3: not found)",
        ),
        (1, "segkd: too old: Python 3.8.10", 3, "is Python 3.8.10, 3.10 is needed"),
    ],
)
def test_explanations(code: int, stderr: str, exit_code: int, message: str) -> None:
    error = SshTransport(SPEC).explain(code, stderr)
    assert error.exit_code == exit_code and message in str(error)
    assert str(error).startswith("orin") and "\n" not in str(error)


def test_without_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BackendMissing, match="apt-get install openssh-client"):
        SshTransport(SPEC).command(1)
