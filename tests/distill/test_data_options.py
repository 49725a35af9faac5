"""Cache, damaged files, own transforms and published numbers, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.distill.commands.command_line import segkd, small
from tests.distill.training import losses, same, weights


def record_of(run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((run / "run.json").read_text())
    return found


def test_a_cached_run_is_the_same_run_and_resumes_without_the_cache(streets: Path, tmp_path: Path) -> None:
    plain, cached = tmp_path / "plain", tmp_path / "cached"
    assert segkd("train", *small(streets, plain)).exit_code == 0
    first = segkd("train", *small(streets, cached), "--cache", tmp_path / "cache")
    assert first.exit_code == 0 and "cache: decoding 20 images" in first.stderr
    assert same(weights(plain), weights(cached)) and losses(plain) == losses(cached)
    again = segkd("train", *small(streets, cached), "--resume")
    assert again.exit_code == 0 and "nothing to resume" in again.stderr


def test_a_truncated_image_stops_the_run_or_is_counted(streets: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(streets, tmp_path / "data"))
    image = sorted((root / "leftImg8bit" / "train").rglob("*.png"))[7]
    image.write_bytes(image.read_bytes()[:-50])
    words = [*small(root, tmp_path / "stopped"), "--iters", 12]
    stopped = segkd("train", *words)
    assert stopped.exit_code == 2 and stopped.stderr.splitlines()[-1].startswith(f"segkd: {image}: cut short")
    counts = []
    for workers in (0, 2):
        run = tmp_path / f"skipped{workers}"
        done = segkd("train", *small(root, run), "--iters", 12, "--skip-damaged", "--workers", workers)
        assert done.exit_code == 0 and done.stderr.count(f"skipped: {image}: cut short") == 1
        counts.append(record_of(run)["skipped"])
    assert counts[0] == counts[1] and list(counts[0]["files"]) == [str(image)]  # type: ignore[index, call-overload]
    assert counts[0]["samples"] >= 1  # type: ignore[index, call-overload]
    assert same(weights(tmp_path / "skipped0"), weights(tmp_path / "skipped2"))


def test_ones_own_transforms(streets: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("- RandomCrop: {height: 32, width: 64}\n- HorizontalFlip: {pp: 0.5}\n")
    words = [*small(streets, tmp_path / "run"), "--set", f"augment.file={path}"]
    wrong = segkd("train", *words)
    assert wrong.exit_code == 2 and f"{path}: HorizontalFlip: unknown argument 'pp'; " in wrong.stderr
    path.write_text("- RandomCrop: {height: 32, width: 64}\n- HorizontalFlip: {p: 0.5}\n")
    assert segkd("train", *words).exit_code == 0
    path.unlink()
    assert segkd("train", "--resume", tmp_path / "run").exit_code == 0  # the run has its own copy


@pytest.mark.parametrize("pipeline", ["cirkd", "attnfd"])
def test_named_pipelines_and_published_numbers(streets: Path, tmp_path: Path, pipeline: str) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"extends: bpkd-pspnet-r18-cityscapes\nstudent: {{from_scratch: true}}\naugment: {{pipeline: {pipeline}}}\n"
    )
    run = tmp_path / "run"
    assert segkd("train", "--recipe", recipe, *small(streets, run)).exit_code == 0
    record = record_of(run)
    assert record["published"]["methods"]["bpkd"]["miou"] == 77.57  # type: ignore[index, call-overload]
    assert "experiment: bpkd-pspnet-r18-cityscapes" in (run / "recipe.yaml").read_text()
