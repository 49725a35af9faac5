from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest

from segkd.errors import BackendMissing, GateFailed, SegkdError
from segkd_deploy.artifact import open_artifact
from segkd_deploy.tensorrt import build as module
from segkd_deploy.tensorrt.build import BuildRequest, build_all, parse_batches, variants_for
from segkd_deploy.tensorrt.cuda import Cuda
from segkd_deploy.tensorrt.engine_cache import FOLDER_VARIABLE
from tests.deploy.artifacts import change_a_byte, make_graph
from tests.deploy.fake_cudart import FakeGpu
from tests.deploy.fake_tensorrt import make_tensorrt


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGpu:
    """A machine with an Orin, TensorRT 10.3 and TensorRT-RTX."""
    gpu = FakeGpu()
    for line in ("10.3", "rtx"):
        fake = make_tensorrt(line, gpu)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(module, "open_cuda", lambda: Cuda(gpu))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "engines"))
    return gpu


def test_builds_for_this_gpu_and_finds_it_again(artifact: Path) -> None:
    said: list[str] = []
    (first,), (again,) = (build_all(BuildRequest(artifact), said.append) for _ in range(2))
    assert (first.engine.key.sm, first.path, first.engine.from_cache) == ("8.7", None, False)
    assert again.engine.from_cache and again.engine.plan == first.engine.plan and len(said) == 2
    written = first.to_dict()
    assert written["runtime"] == {"name": "tensorrt", "version": "10.3.0"}
    assert written["bytes"] == len(first.engine.plan) and written["sm"] == "8.7"


def test_options_reach_the_key_and_the_file(artifact: Path, tmp_path: Path) -> None:
    request = BuildRequest(artifact, precisions=("fp32",), optimization_level=5, tf32=True, out=tmp_path / "out")
    (built,) = build_all(request)
    assert built.engine.key.flags == ("batches=1-1-8", "optimization_level=5", "tf32=True")
    assert built.path == tmp_path / "out" / "model.fp32.sm8.7.tensorrt-10.3.0.plan"
    assert built.path.read_bytes() == built.engine.plan


def test_rtx_compiles_for_other_gpus_and_keeps_nothing(artifact: Path, machine: FakeGpu, tmp_path: Path) -> None:
    machine.failures["cudaGetDeviceCount"] = 35
    request = BuildRequest(artifact, runtime="tensorrt_rtx", sm=("8.6", "8.9"))
    (built,) = build_all(request)
    assert (built.engine.key.sm, built.path) == ("8.6+8.9", None)
    assert not (tmp_path / "engines").exists() and machine.calls == []
    with pytest.raises(BackendMissing, match="driver is missing"):
        build_all(BuildRequest(artifact, runtime="tensorrt_rtx"))
    with pytest.raises(SegkdError, match="tensorrt builds for this machine's GPU alone"):
        build_all(BuildRequest(artifact, sm=("8.6",)))


def test_one_graph(tmp_path: Path) -> None:
    path = tmp_path / "any.onnx"
    onnx.save(make_graph(batch="N"), path)
    (built,) = build_all(BuildRequest(path, batches=(2, 2, 4)))
    assert b"[2, 16, 24, 3], [2, 16, 24, 3], [4, 16, 24, 3]" in built.engine.plan
    with pytest.raises(SegkdError, match="is one graph"):
        build_all(BuildRequest(path, variants=("fp32",)))


def test_artifact_must_be_as_exported(artifact: Path) -> None:
    with pytest.raises(SegkdError, match="no fp16 variant"):
        build_all(BuildRequest(artifact, precisions=("fp16",)))
    change_a_byte(artifact / "model.fp32.onnx")
    with pytest.raises(GateFailed, match=r"model\.fp32\.onnx has changed"):
        build_all(BuildRequest(artifact))


def test_cpu_variants_are_for_cpus(artifact: Path) -> None:
    opened = open_artifact(artifact)
    opened.manifest.variants["int8-cpu"] = opened.manifest.variants["fp32"]
    assert variants_for(opened, "onnxruntime") == ("fp32", "int8-cpu")
    assert variants_for(opened, "tensorrt") == ("fp32",)


@pytest.mark.parametrize(
    ("text", "batches"), [("1", (1, 1, 1)), ("4", (4, 4, 4)), ("1-8", (1, 1, 8)), ("1-4-8", (1, 4, 8))]
)
def test_batches(text: str, batches: tuple[int, int, int]) -> None:
    assert parse_batches(text) == batches


@pytest.mark.parametrize("text", ["", "x", "1-", "1-2-3-4", "-1"])
def test_batches_that_are_none(text: str) -> None:
    with pytest.raises(SegkdError, match="expected N, A-B or A-N-B"):
        parse_batches(text)
