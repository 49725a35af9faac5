"""A run folder as a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.compare.run_entry import run_entry
from tests.deploy.compare.files import make_run, write


def test_a_whole_run(tmp_path: Path) -> None:
    entry = run_entry(make_run(tmp_path / "r", miou=0.61, weights_bytes=1234), "mine")
    assert (entry.name, entry.kind, entry.size_px, entry.classes) == ("mine", "run", (64, 128), ("road", "sky"))
    assert (entry.size_bytes, entry.params, entry.problems) == (1234, 1_500_000, ())
    accuracy = entry.accuracy
    assert accuracy is not None
    assert (accuracy.miou, accuracy.fingerprint, accuracy.data) == (0.61, "aaaa", "cityscapes:/data")
    assert (accuracy.basis, accuracy.protocol) == ("data set", "mmseg, whole")


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    (folder / "run.json").unlink()
    lines = [{"step": 1, "event": "eval", "miou": 0.2}, {"step": 2, "event": "eval", "miou": 0.3}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    entry = run_entry(folder, "r")
    assert entry.accuracy is not None and entry.accuracy.miou == 0.3
    assert entry.problems == (f"{folder} has no run.json: the run has not ended; go on with --resume",)


def test_records_that_say_too_little(tmp_path: Path) -> None:
    unfinished = make_run(tmp_path / "u", finished=False)
    assert run_entry(unfinished, "u").problems == (
        f"{unfinished / 'run.json'} says that the run has not finished; go on with --resume",
    )
    unknown = make_run(tmp_path / "k", fingerprint=None)
    assert run_entry(unknown, "k").problems == (f"{unknown / 'run.json'} does not say which data were scored",)
    write(tmp_path / "e" / "run.json", {"finished": True})
    empty = run_entry(tmp_path / "e", "e")
    assert empty.problems == (f"{tmp_path / 'e' / 'run.json'} holds no evaluation",)
    assert (empty.accuracy, empty.size_px, empty.classes, empty.size_bytes) == (None, None, None, None)


def test_skipped_samples_are_noted(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    record = json.loads((folder / "run.json").read_text())
    write(folder / "run.json", {**record, "skipped": {"samples": 7, "files": {}}})
    assert run_entry(folder, "r").notes == ("7 samples skipped in training",)


def test_damaged_files(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "r")
    (folder / "recipe.yaml").write_text("eval: [")
    with pytest.raises(SegkdError, match=r"recipe\.yaml:1: not valid YAML"):
        run_entry(folder, "r")
    write(folder / "run.json", [])
    with pytest.raises(SegkdError, match=r"run\.json: expected an object, got list"):
        run_entry(folder, "r")
