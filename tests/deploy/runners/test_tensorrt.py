"""The runner over stand-ins of every line of TensorRT versions and a stand-in GPU; the real ones where a GPU is."""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.bench import run as bench
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners import open_runner
from segkd_deploy.runners import tensorrt as module
from segkd_deploy.runners.tensorrt import TensorRTRtxRunner, TensorRTRunner, parse_gpu
from segkd_deploy.tensorrt.cuda import Cuda, open_cuda
from segkd_deploy.tensorrt.engine_cache import FOLDER_VARIABLE, EngineCache
from segkd_deploy.tensorrt.engines import BuildOptions
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX, labels_of, make_frames, make_graph
from tests.deploy.conftest import SHORT_BENCH, Run
from tests.deploy.fake_cudart import COPY_MS, RUN_MS, FakeGpu
from tests.deploy.fake_tensorrt import VERSIONS, make_tensorrt
from tests.deploy.runners.base import BaseRunnerTester


def install(monkeypatch: pytest.MonkeyPatch, line: str, gpu: FakeGpu | None = None) -> FakeGpu:
    """Put a line's stand-in and a GPU in place of the real ones."""
    gpu = FakeGpu() if gpu is None else gpu
    fake = make_tensorrt(line, gpu)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(module, "open_cuda", lambda: Cuda(gpu))
    return gpu


class BaseTensorRTTester(BaseRunnerTester):
    """What every line must hold."""

    line = ""

    @pytest.fixture(autouse=True)
    def gpu(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGpu:
        monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "engines"))
        return install(monkeypatch, self.line)

    def open(self, graph: Path, **options: Any) -> TensorRTRunner:
        runner = TensorRTRtxRunner if self.line == "rtx" else TensorRTRunner
        return runner(graph, **options)

    def test_stages_are_timed_on_the_gpu(self, graph: Path) -> None:
        with self.open(graph) as runner:
            runner.infer(make_frames(1))
            assert runner.last_stages_ms == {"h2d": COPY_MS, "compute": RUN_MS, "d2h": COPY_MS}

    def test_everything_is_given_back(self, graph: Path, gpu: FakeGpu) -> None:
        with self.open(graph, cuda_graph=True) as runner:
            runner.infer(make_frames(1))
            assert gpu.kept() > 0
        assert gpu.kept() == 0

    def test_cuda_graph_replays_the_network(self, graph: Path, gpu: FakeGpu) -> None:
        with self.open(graph, cuda_graph=True) as runner:
            for frame in make_frames(3, seed=5):
                np.testing.assert_array_equal(runner.infer(frame[None]), labels_of(frame[None]))
                assert runner.last_stages_ms["compute"] == RUN_MS
            assert runner.describe()["cuda_graph"] is True
        assert (gpu.calls.count("cudaStreamBeginCapture"), gpu.calls.count("cudaGraphLaunch")) == (1, 3)

    def test_zero_copy_copies_nothing(self, graph: Path, gpu: FakeGpu) -> None:
        with self.open(graph, zero_copy=True) as runner:
            frames = make_frames(1)
            np.testing.assert_array_equal(runner.infer(frames), labels_of(frames))
            assert runner.last_stages_ms == {"compute": RUN_MS}
            assert runner.describe()["zero_copy"] is True
        assert "cudaMemcpyAsync" not in gpu.calls and "cudaMalloc" not in gpu.calls
        assert gpu.kept() == 0

    def test_frame_buffer_is_used_in_place(self, graph: Path) -> None:
        with self.open(graph) as runner:
            buffer = runner.frame_buffer()
            buffer[:] = make_frames(1, seed=8)
            np.testing.assert_array_equal(runner.infer(buffer), labels_of(make_frames(1, seed=8)))

    def test_frames_in_device_memory(self, graph: Path, gpu: FakeGpu) -> None:
        frames, labels = make_frames(1, seed=4), np.empty((1, HEIGHT_PX, WIDTH_PX), np.uint8)
        with self.open(graph) as runner:
            address = runner.infer_device(frames.ctypes.data, 99)
            ctypes.memmove(labels.ctypes.data, address, labels.nbytes)
            np.testing.assert_array_equal(labels, labels_of(frames))
            with pytest.raises(SegkdError, match="batch: expected 1, the graph's, got 2"):
                runner.infer_device(frames.ctypes.data, 99, 2)

    def test_any_batch_within_the_profile(self, tmp_path: Path) -> None:
        onnx.save(make_graph(batch="N"), tmp_path / "any.onnx")
        with self.open(tmp_path / "any.onnx", options=BuildOptions(batches=(1, 2, 4)), cuda_graph=True) as runner:
            assert runner.frame_buffer().shape == (4, HEIGHT_PX, WIDTH_PX, 3)
            for count in (1, 4, 2, 4):
                frames = make_frames(count, seed=count)
                np.testing.assert_array_equal(runner.infer(frames), labels_of(frames))
            with pytest.raises(SegkdError, match="the engine is for 1 to 4 frames, got 5"):
                runner.infer(make_frames(5))

    def test_engine_is_built_once(self, graph: Path, tmp_path: Path) -> None:
        said: list[str] = []
        for found in (False, True):
            with self.open(graph, say=said.append) as runner:
                engine = runner.describe()["engine"]
                assert engine["from_cache"] is found
        assert len(said) == 2 and "building an engine of model.fp32.onnx" in said[0] and "layers" in said[1]
        with self.open(graph, options=BuildOptions(tf32=True)) as runner:
            assert runner.describe()["engine"]["from_cache"] is False
        assert len(list((tmp_path / "engines").glob("*.plan"))) == 2

    def test_describes_version_gpu_and_engine(self, graph: Path) -> None:
        with self.open(graph) as runner:
            said = runner.describe()
        assert (said["version"], said["device"], said["sm"]) == (VERSIONS[self.line], "Orin", "8.7")
        assert (said["provider"], said["cuda_runtime"]) == ("cuda:0", "12.6")
        assert said["strongly_typed"] is (self.line != "8.6")
        assert {"sha256", "bytes", "layers", "build_s", "deserialize_ms", "context_ms"} <= said["engine"].keys()
        assert said["engine"]["device_bytes"] == 4096

    def test_engine_that_does_not_load_says_why(self, graph: Path, tmp_path: Path) -> None:
        class Foreign(EngineCache):
            def load(self, key: Any) -> Any:
                found = super().load(key)
                return None if found is None else type(found)(found.plan.replace(b'"8.7"', b'"8.6"'), found.record)

        cache = Foreign(tmp_path / "engines")
        with self.open(graph, cache=cache):
            pass
        with pytest.raises(BackendMissing, match=r"could not load the engine: it was built for another GPU .*on this"):
            self.open(graph, cache=cache).__enter__()

    def test_memory_that_is_used_up(self, graph: Path, gpu: FakeGpu) -> None:
        gpu.failures["cudaMalloc"] = 2
        with pytest.raises(SegkdError, match=r"cudaMalloc failed: out of memory \(error 2\)"):
            self.open(graph).__enter__()
        assert gpu.kept() == 0

    def test_gpu_that_is_not_there(self, graph: Path, gpu: FakeGpu) -> None:
        with pytest.raises(BackendMissing, match="GPU cuda:3 is not there; this machine has 1"):
            self.open(graph, provider="cuda:3").__enter__()
        gpu.failures["cudaGetDeviceCount"] = 35
        with pytest.raises(BackendMissing, match="the NVIDIA driver is missing or older than this CUDA"):
            self.open(graph).__enter__()


class TestTensorRT86(BaseTensorRTTester):
    line = "8.6"


class TestTensorRT103(BaseTensorRTTester):
    line = "10.3"


class TestTensorRT1013(BaseTensorRTTester):
    line = "10.13"


class TestTensorRT114(BaseTensorRTTester):
    line = "11.4"


class TestTensorRTRtx(BaseTensorRTTester):
    line = "rtx"


def test_runtime_names_reach_the_runners(pristine: Path) -> None:
    graph = pristine / "model.fp32.onnx"
    assert type(open_runner(graph, "tensorrt", provider="cuda:0")) is TensorRTRunner
    assert type(open_runner(graph, "tensorrt_rtx", provider="cuda", threads=2)) is TensorRTRtxRunner


def test_graph_is_held_against_a_given_spec(pristine: Path) -> None:
    with pytest.raises(SegkdError, match=r"expected shapes .*8.*the graph has"):
        TensorRTRunner(pristine / "model.fp32.onnx", spec=GraphSpec(1, 8, WIDTH_PX, 3))
    with pytest.raises(SegkdError, match=r"expected a complete graph.*logits"):
        TensorRTRunner(pristine / "model.fp32.logits.onnx")


def test_provider_is_a_gpu() -> None:
    assert (parse_gpu("cuda"), parse_gpu("cuda:2")) == (0, 2)
    for bad in ("cpu", "cuda:", "cuda:x", "gpu:0"):
        with pytest.raises(SegkdError, match="expected cuda or cuda:N"):
            parse_gpu(bad)


def test_missing_library_is_named(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendMissing, match=r"tensorrt is not installed: pip install .*\[tensorrt\]'"):
        TensorRTRunner(pristine / "model.fp32.onnx").__enter__()


def test_validate_and_bench_reach_the_gpu(
    artifact: Path, segkd: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "engines"))
    install(monkeypatch, "10.3")
    result = segkd("validate", artifact, "--runtime", "tensorrt", "--json")
    variant = json.loads(result.out)["variants"]["fp32"]
    assert result.code == 0 and "building an engine" in result.err
    assert (variant["runtime"]["name"], variant["agreement"]) == ("tensorrt", 1.0)
    # The children that measure the cold start have no stand-ins.
    cold = dict.fromkeys(("import_ms", "session_ms", "first_infer_ms", "total_ms", "rss_peak_bytes"), 1.0)
    monkeypatch.setattr(bench, "measure_cold_start", lambda *arguments, **options: cold)
    result = segkd("bench", artifact, "--runtime", "tensorrt", *SHORT_BENCH)
    assert result.code == 0 and "tensorrt 10.3.0, cuda:0, Orin" in result.out
    measured = json.loads((artifact / "bench.json").read_text())
    stages = {"pre": None, "h2d": COPY_MS, "compute": RUN_MS, "d2h": COPY_MS, "post": None}
    assert measured["stages_ms"] == stages and measured["memory"]["device_bytes"] == 4096
    assert (measured["device"]["sm"], measured["device"]["cuda"]) == ("8.7", "12.6")
    assert measured["runtime"]["engine"]["from_cache"] and measured["load"]["deserialize_ms"] > 0


def gpus() -> int:
    """GPUs that this machine really has."""
    try:
        return open_cuda()._integer("cudaGetDeviceCount")
    except SegkdError:
        return 0


@pytest.mark.gpu
@pytest.mark.skipif(gpus() == 0, reason="needs a CUDA device")
@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt_rtx"])
def test_the_real_thing(runtime: str, pristine: Path, tmp_path: Path) -> None:
    pytest.importorskip(runtime)
    for options in ({}, {"cuda_graph": True}, {"zero_copy": True}):
        runner = open_runner(pristine / "model.fp32.onnx", runtime, provider="cuda:0", **options)
        assert isinstance(runner, TensorRTRunner)
        runner.cache = EngineCache(tmp_path)
        with runner:
            for frame in make_frames(3):
                np.testing.assert_array_equal(runner.infer(frame[None]), labels_of(frame[None]))
            assert runner.last_stages_ms["compute"] > 0
