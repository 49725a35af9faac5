"""The whole chain in processes that can import neither torch nor onnx nor the rooms that need them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.deploy.conftest import SHORT_BENCH, as_long_as_quick

BLOCKED = ["torch", "onnx", "onnxscript", "segkd_distill", "segkd_export"]

# Imported by every Python process that finds it, so by the cold start's children as well.
SITECUSTOMIZE = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError("blocked: " + name, name=name)
        return None

sys.meta_path.insert(0, Blocker())
"""

CHAIN = f"""
import json, sys
from segkd.cli import main

for name in {BLOCKED!r}:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert str(error) == "blocked: " + name
    else:
        raise SystemExit(name + " is not blocked")

codes = []
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as exit_:
        codes.append(exit_.code)
print(json.dumps(codes))
"""


def run_chain(commands: list[list[str]], environment: dict[str, str]) -> None:
    """Run commands one after the other in a process of their own; all end with 0."""
    words = [sys.executable, "-c", CHAIN, json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0] * len(commands), done.stdout + done.stderr


def test_validate_bench_and_release(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    (tmp_path / "gates.yaml").write_text("agreement: 0.9999\np99_latency_ms: 10000\n")
    folder, out = str(artifact), tmp_path / "out"
    named = ["--gates", str(tmp_path / "gates.yaml"), "--out", str(out), "--name", "net", "--version", "1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    run_chain([["validate", folder], ["bench", folder, *SHORT_BENCH]], environment)
    as_long_as_quick(artifact / "bench.json")
    release = [["release", "create", folder, *named], ["release", "verify", str(out / "net-1.tar.gz")]]
    run_chain(release, environment)
    assert json.loads((out / "net-1" / "release.json").read_text())["passed"]
