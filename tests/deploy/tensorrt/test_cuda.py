from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.tensorrt import cuda as module
from segkd_deploy.tensorrt.cuda import Cuda, open_cuda
from tests.deploy.fake_cudart import FakeGpu


@pytest.mark.parametrize("version", [11, 12, 13])
def test_what_a_gpu_is(version: int) -> None:
    found = Cuda(FakeGpu("11.0", cuda=version, name="NVIDIA Thor")).open_gpu(0)
    assert (found.name, found.sm, found.integrated) == ("NVIDIA Thor", "11.0", True)
    assert (found.memory_bytes, found.runtime, found.driver) == (8 << 30, f"{version}.6", f"{version}.6")


def test_memory_goes_there_and_back() -> None:
    gpu = FakeGpu()
    cuda = Cuda(gpu)
    stream, host = cuda.make_stream(), cuda.allocate_host(4)
    device = cuda.allocate(4)
    host.array[:] = [1, 2, 3, 4]
    cuda.to_device(device, host.address, 4, stream)
    host.array[:] = 0
    cuda.to_host(host.address, device, 4, stream)
    assert host.array.tolist() == [1, 2, 3, 4]
    assert host.device_address == 0 and cuda.allocate_host(4, mapped=True).device_address != 0
    cuda.free(device)
    cuda.free_host(host)
    cuda.destroy_stream(stream)
    assert gpu.kept() == 1  # the mapped buffer


def test_events_tell_the_gpus_time() -> None:
    gpu = FakeGpu()
    cuda = Cuda(gpu)
    stream = cuda.make_stream()
    start, end = cuda.make_event(), cuda.make_event()
    cuda.record(start, stream)
    gpu.put(lambda: None, 1.5)
    cuda.record(end, stream)
    assert cuda.elapsed_ms(start, end) == 1.5


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (35, BackendMissing, r"driver is missing or older than this CUDA \(cudaMalloc: CUDA driver .*, error 35\)"),
        (100, BackendMissing, "there is no NVIDIA GPU"),
        (2, SegkdError, r"CUDA: cudaMalloc failed: out of memory \(error 2\)"),
        (719, SegkdError, r"unknown error \(error 719\)"),
    ],
)
def test_errors_say_what_is_missing(status: int, error: type[SegkdError], message: str) -> None:
    gpu = FakeGpu()
    gpu.failures["cudaMalloc"] = status
    with pytest.raises(error, match=message) as raised:
        Cuda(gpu).allocate(1)
    assert type(raised.value) is error


def test_without_a_cuda_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_candidates", lambda: iter([str(tmp_path / "libcudart.so")]))
    with pytest.raises(BackendMissing, match=r"the CUDA runtime \(libcudart.so\) is not there"):
        open_cuda()


def test_every_function_is_in_the_real_library_where_there_is_one() -> None:
    try:
        library = open_cuda()._library
    except BackendMissing:
        pytest.skip("no libcudart on this machine")
    gpu = FakeGpu(cuda=13)
    names = [entry[1:] for entry in dir(FakeGpu) if entry.startswith("_cuda")]
    assert len(names) > 25 and isinstance(library, ctypes.CDLL)
    for name in names:
        assert hasattr(library, name) or hasattr(library, name + "_v2"), name
        assert getattr(gpu, name)
