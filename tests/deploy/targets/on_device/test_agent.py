"""The agent's answers, without a connection; sessions test it over one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from segkd_deploy.targets.connection import SCRIPTS, script
from segkd_deploy.targets.on_device.agent import HEAD, MAGIC, Agent, inside, is_locked, lock_file, pack, serve

CONTENT = b"a graph"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    os.umask(0o077)  # as `serve` does; a fixture puts it back
    agent = Agent()
    agent.op_hello({"folder": str(tmp_path / "kept"), "scripts": {name: script(name) for name in SCRIPTS}}, b"")
    return agent


def job(*argv: str, **changes: Any) -> dict[str, Any]:
    step = {"name": "step", "argv": argv, "passes": [0]}
    base = {"id": "job1", "files": {}, "paths": [], "steps": [step], "env": {}, "holder": {"host": "h"}}
    return {**base, "lease_s": 30, "timeout_s": 30, **changes}


def follow(agent: Agent, name: str = "job1") -> tuple[dict[str, Any], str]:
    text = b""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answer, data = agent.op_poll({"job": name, "offset": len(text), "wait_s": 0.2}, b"")
        text += data
        if answer["state"] != "running":
            return answer, text.decode()
    raise AssertionError(text)


def put(agent: Agent, content: bytes, offset: int = 0, *, last: bool = True, sha: str = SHA) -> int:
    header = {"sha": sha, "client": "c1", "offset": offset, "last": last}
    return int(agent.op_put(header, content)[0]["have"])


def test_stream_of_requests(tmp_path: Path) -> None:
    hello = pack({"op": "hello", "folder": str(tmp_path), "scripts": {}})
    unknown = pack({"op": "get", "job": "../x", "name": "y", "offset": 0}, b"payload")
    sink = io.BytesIO()
    serve(io.BytesIO(hello + unknown + b"\0\0"), sink)  # and an unfinished one, as when a line is cut
    data = sink.getvalue()
    assert data.startswith(MAGIC)
    answers, at = [], len(MAGIC)
    while at < len(data):
        header_bytes, payload_bytes = HEAD.unpack_from(data, at)
        at += HEAD.size
        answers.append(json.loads(data[at : at + header_bytes]))
        at += header_bytes + payload_bytes
    assert answers[0]["python"] == sys.version.split()[0] and answers[0]["folder"] == str(tmp_path)
    assert answers[1] == {"error": "bad name '../x'", "errno": None}


def test_files_are_kept_by_hash_and_resumed(agent: Agent) -> None:
    ask = {"shas": [SHA], "client": "c1"}
    assert agent.op_missing(ask, b"")[0]["missing"] == {SHA: 0}
    assert put(agent, CONTENT[:3], last=False) == 3
    assert agent.op_missing(ask, b"")[0]["missing"] == {SHA: 3}
    assert agent.op_missing({**ask, "client": "c2"}, b"")[0]["missing"] == {SHA: 0}  # two clients do not mix
    assert put(agent, CONTENT[:3], last=False) == 3  # the same again, as after a lost answer
    assert put(agent, CONTENT[3:], 3) == len(CONTENT)
    assert agent.op_missing(ask, b"")[0]["missing"] == {}
    assert put(agent, CONTENT[3:], 3) == len(CONTENT)
    assert (agent.root / "blobs" / SHA).read_bytes() == CONTENT


def test_other_bytes_are_refused_and_forgotten(agent: Agent) -> None:
    with pytest.raises(ValueError, match="arrived with other bytes"):
        put(agent, b"another")
    assert agent.op_missing({"shas": [SHA], "client": "c1"}, b"")[0]["missing"] == {SHA: 0}


def test_a_job_from_start_to_end(agent: Agent) -> None:
    put(agent, CONTENT)
    code = "import os, pathlib; print(os.environ['NAME']); pathlib.Path('out/a').write_bytes(open('x/g','rb').read())"
    spec = job("{python}", "-c", code, files={"x/g": SHA}, env={"NAME": "value"})
    assert agent.op_start({"job": spec}, b"")[0] == {"started": True}
    assert agent.op_start({"job": spec}, b"")[0] == {"started": True}  # asked again after a lost answer: still one job
    answer, text = follow(agent)
    assert answer["state"] == "ended" and text == "=== step\nvalue\n"
    assert answer["status"]["outcome"] == "done" and answer["status"]["steps"][0]["rc"] == 0
    assert agent.op_list({"job": "job1"}, b"")[0] == {"files": {"a": len(CONTENT)}}
    assert agent.op_get({"job": "job1", "name": "a", "offset": 2}, b"")[1] == CONTENT[2:]
    mode = (agent.root / "jobs" / "job1" / "job.json").stat().st_mode
    assert mode & 0o077 == 0  # it holds the environment
    agent.op_remove({"job": "job1"}, b"")
    assert agent.op_poll({"job": "job1", "offset": 0, "wait_s": 0}, b"")[0]["state"] == "gone"
    assert agent.op_state({}, b"")[0]["holder"] is None


def test_one_job_at_a_time(agent: Agent) -> None:
    lock = lock_file(agent.root / "lock")
    assert lock is not None
    os.pwrite(lock, b'{"host": "other", "pid": 7}', 0)
    answer, _ = agent.op_start({"job": job("true")}, b"")
    assert answer == {"started": False, "holder": {"host": "other", "pid": 7}}
    assert not (agent.root / "jobs" / "job1").exists()
    assert agent.op_state({}, b"")[0]["holder"] == {"host": "other", "pid": 7}
    os.close(lock)  # as when its process dies: what it wrote stays, the lock does not
    assert agent.op_start({"job": job("true")}, b"")[0] == {"started": True}
    follow(agent)


def test_what_is_unused_for_two_weeks_goes(agent: Agent) -> None:
    put(agent, CONTENT)
    old, kept = agent.root / "runners" / "old", agent.root / "runners" / "new"
    scripts = {name: script(name) for name in SCRIPTS}
    for folder in (old, kept, agent.root / "jobs" / "dead"):
        folder.mkdir(parents=True)
    long_ago = time.time() - 15 * 24 * 3600
    for path in (old, agent.root / "jobs" / "dead", agent.root / "blobs" / SHA, agent.scripts):
        os.utime(path, (long_ago, long_ago))
    agent.op_hello({"folder": str(agent.root), "scripts": scripts}, b"")
    assert (agent.scripts / "supervisor.py").exists()  # old, but it was just asked for
    assert not old.exists() and kept.exists() and not (agent.root / "blobs" / SHA).exists()
    assert not (agent.root / "jobs" / "dead").exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x"])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="does not lie inside"):
        inside(tmp_path, name)


def test_locks_are_seen_without_being_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path) and not path.exists()
    lock = lock_file(path)
    assert lock is not None and is_locked(path) and lock_file(path) is None
    os.close(lock)
    assert not is_locked(path)
