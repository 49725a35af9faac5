"""The table with its marks, Markdown, the page and the plots."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from segkd.errors import SegkdError
from segkd_deploy.compare.comparison import Comparison, compare
from segkd_deploy.compare.write import footnotes, plots, table, write_comparison
from tests.deploy.compare.files import bench, make_artifact, make_run, write


@pytest.fixture
def devices(tmp_path: Path) -> Comparison:
    """One artifact on two devices, and one variant that was not measured."""
    folder = make_artifact(tmp_path / "net", {"fp32": 0.7, "int8": 0.65})
    write(folder / "bench.json", bench(folder, "fp32", p50_ms=8.0))
    power = {"energy_mj_per_frame": 120.0, "net_energy_mj_per_frame": 70.0}
    orin = bench(folder, "fp32", p50_ms=20.0, device={"model": "Orin | Nano"}, power=power)
    return compare([folder, write(tmp_path / "orin" / "bench.json", orin)])


def test_marks_say_what_may_not_be_compared(devices: Comparison) -> None:
    header, rows = table(devices)
    named = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["row"] for row in named] == ["net:fp32", "net:int8", "bench:fp32"]
    assert [row["p50 ms"] for row in named] == ["8.000 [a]", "-", "20.000 [b]"]
    assert [row["mJ/frame"] for row in named] == ["-", "-", "120.0 [b]"]
    assert [row["mIoU %"] for row in named] == ["70.00", "65.00", "70.00"]
    assert "params M" not in header  # no row has it
    lines = footnotes(devices)
    assert "[b] Orin | Nano, single_stream" in lines
    assert any(line.startswith("mIoU of 4 reference frames (fingerprint ") for line in lines)
    assert any("different letters are not comparable" in line for line in lines)


def test_one_condition_needs_no_marks(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "net", {"fp32": 0.7, "int8": 0.65})
    for variant, name in (("fp32", "bench.json"), ("int8", "bench.int8.json")):
        write(folder / name, bench(folder, variant))
    comparison = compare([folder])
    assert "10.000" in table(comparison)[1][0]
    assert "measured on desk, single_stream" in footnotes(comparison)


def test_forced_rows_are_marked(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "one"), make_run(tmp_path / "two", fingerprint="bbbb", finished=False)]
    comparison = compare(runs, force=True)
    rows = table(comparison)[1]
    assert [row[0] for row in rows] == ["one", "two !"]
    assert [row[1] for row in rows] == ["50.00 [1]", "50.00 [2]"]
    assert sum(line.startswith("NOT COMPARABLE: ") for line in footnotes(comparison)) == 2


def test_plots_are_of_costs_that_differ(devices: Comparison) -> None:
    assert list(plots(devices)) == ["latency"]  # energy has one row, and all sizes are equal
    ElementTree.fromstring(plots(devices)["latency"])


def test_files(devices: Comparison, tmp_path: Path) -> None:
    paths = write_comparison(tmp_path / "out", devices)
    assert [path.name for path in paths] == ["compare-latency.svg", "compare.md", "compare.html", "compare.json"]
    text = (tmp_path / "out" / "compare.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert len(lines) == 5 and len(columns) == 1  # also with a pipe in a device's name
    assert "Orin \\| Nano" in text and "![mIoU against latency](compare-latency.svg)" in text
    page = (tmp_path / "out" / "compare.html").read_text()
    assert (
        page.count("<tr>") == 4
        and "<svg" in page
        and "net:int8" in page
        and "http" not in page.replace("http://www.w3", "")
    )
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["comparable"] is True


def test_a_place_that_cannot_be_written(devices: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SegkdError, match=r"file: cannot be written .*name another folder with --out"):
        write_comparison(tmp_path / "file", devices)
