from __future__ import annotations

from pathlib import Path

import pytest

from segkd_deploy.bench import memory
from segkd_deploy.bench.memory import MemoryProbe, Taken, available_bytes, device_free_bytes
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.tensorrt import cuda
from segkd_deploy.tensorrt.cuda import Cuda
from tests.deploy.fake_cudart import FakeGpu


def test_available_memory_by_hand(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable:   42 kB\n")
    assert available_bytes(tmp_path / "meminfo") == 42 * 1024
    assert available_bytes(tmp_path / "none") is None
    (tmp_path / "old").write_text("MemTotal: 100 kB\n")
    assert available_bytes(tmp_path / "old") is None


def test_what_is_gone_since(monkeypatch: pytest.MonkeyPatch) -> None:
    available, free = iter([1000, 400]), iter([9000, 6500])
    monkeypatch.setattr(memory, "available_bytes", lambda: next(available))
    monkeypatch.setattr(memory, "device_free_bytes", lambda gpu: next(free))
    assert MemoryProbe(RunOptions("tensorrt", "cuda:0")).taken() == Taken(2500, 600)


def test_a_cpu_has_no_device_memory() -> None:
    taken = MemoryProbe(RunOptions()).taken()
    assert taken.device_bytes is None and isinstance(taken.ram_bytes, int)


def test_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "open_cuda", lambda: Cuda(FakeGpu()))
    assert device_free_bytes(0) == 4 << 30
    assert device_free_bytes(1) is None  # the runner says that there is one only
    assert device_free_bytes(None) is None
