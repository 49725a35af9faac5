"""``segkd compare`` through its real entry point, on files of the real commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.deploy.artifacts import change_a_byte
from tests.deploy.compare.files import make_run
from tests.deploy.conftest import Run


def test_artifacts_that_validate_and_bench_measured(segkd: Run, measured: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(measured, tmp_path / "other"))
    result = segkd("compare", measured, other, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    parity = json.loads((measured / "parity.json").read_text())
    assert f"measured:fp32   {100 * parity['variants']['fp32']['miou']['graph']:.2f}" in result.out
    assert "mIoU of 3 reference frames" in result.out and "measured on " in result.out
    assert "compare.html" in result.err and (tmp_path / "out" / "compare.md").is_file()


def test_refusal_is_exit_code_2_and_one_line(segkd: Run, tmp_path: Path) -> None:
    runs = make_run(tmp_path / "a"), make_run(tmp_path / "b", fingerprint="bbbb")
    result = segkd("compare", *runs)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("segkd: not comparable: data: a has ") and result.err.count("\n") == 1
    forced = segkd("compare", *runs, "--force", "--json")
    assert forced.code == 0 and "not comparable: data: a has" in forced.err
    content = json.loads(forced.out)
    assert content["comparable"] is False and [row["name"] for row in content["rows"]] == ["a", "b"]


def test_bad_words(segkd: Run, artifact: Path, tmp_path: Path) -> None:
    assert segkd("compare").code == 2
    assert "no such file or folder" in segkd("compare", tmp_path / "gone").err
    alone = segkd("compare", artifact, "--variant", "fp32")
    assert alone.code == 2 and "needs two rows, found 1: artifact:fp32" in alone.err
    change_a_byte(artifact / "model.fp32.onnx")
    assert segkd("compare", artifact).code == 1
