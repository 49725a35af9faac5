from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.tensorrt.engine_cache import FOLDER_VARIABLE, EngineCache, EngineKey, default_folder

KEY = EngineKey("a" * 64, "tensorrt", "10.3.0", "8.7", "36.4.3", ("tf32=False",))


def test_keeps_a_plan_with_its_facts(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "new")
    assert cache.load(KEY) is None
    path = cache.store(KEY, b"plan", build_s=2.5)
    found = cache.load(KEY)
    assert found is not None and (found.plan, found.record["build_s"]) == (b"plan", 2.5)
    assert path.read_bytes() == b"plan"
    assert found.record["key"]["l4t"] == "36.4.3"


@pytest.mark.parametrize(
    "change",
    [
        {"graph_sha256": "b" * 64},
        {"library": "tensorrt_rtx"},
        {"version": "10.3.1"},
        {"sm": "8.6"},
        {"l4t": "36.4.4"},
        {"l4t": None},
        {"flags": ()},
    ],
)
def test_every_part_of_the_key_counts(change: dict[str, object], tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.store(KEY, b"plan")
    assert cache.load(dataclasses.replace(KEY, **change)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["plan", "record", "schema", "no plan"])
def test_a_plan_that_is_not_whole_is_not_found(damage: str, tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    plan = cache.store(KEY, b"plan")
    record = plan.with_suffix(".json")
    if damage == "plan":
        plan.write_bytes(b"pla")
    elif damage == "record":
        record.write_text("{")
    elif damage == "schema":
        record.write_text(record.read_text().replace('"schema": 1', '"schema": 2'))
    else:
        plan.unlink()
    assert cache.load(KEY) is None
    cache.store(KEY, b"plan")
    assert cache.load(KEY) is not None


def test_times_of_kernels_belong_to_version_and_gpu(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    other = dataclasses.replace(KEY, graph_sha256="b" * 64, flags=())
    assert cache.timing_cache(KEY) == cache.timing_cache(other)
    assert cache.timing_cache(KEY) != cache.timing_cache(dataclasses.replace(KEY, sm="11.0"))


def test_where_engines_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert default_folder() == tmp_path / "segkd" / "engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "segkd" / "engines"
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert EngineCache().folder == tmp_path / "mine"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SegkdError, match=f"engines cannot be kept there .*{FOLDER_VARIABLE}"):
        EngineCache(tmp_path / "file").store(KEY, b"plan")
