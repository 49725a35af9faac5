"""The benchmark of the data runs, and its rows are those of its table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "data.py"


def test_it_runs_on_small_pictures() -> None:
    words = ["--imgsz", "64x128", "--crop", "32x64", "--repeats", "2", "--json"]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert len(found["rows"]) == 11 and found["rows"]["plain albumentations"]["speedup"] == 1
    assert found["speedup"] == found["rows"]["segkd mmseg"]["speedup"]
    assert all(row["cpu_ms"] > 0 for row in found["rows"].values())
