from __future__ import annotations

from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.runners.tensorrt import TensorRTRunner
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX


def test_options_of_another_runtime_are_refused() -> None:
    with pytest.raises(SegkdError, match="--cuda-graph belongs to --runtime tensorrt"):
        RunOptions(cuda_graph=True)
    with pytest.raises(SegkdError, match="--zero-copy belongs"):
        RunOptions(zero_copy=True)


def test_where_it_runs() -> None:
    assert (RunOptions().on_gpu, RunOptions().gpu_index) == (False, None)
    assert RunOptions(provider="openvino").on_gpu is False
    assert RunOptions(provider="cuda").gpu_index == 0
    assert RunOptions("tensorrt", "cuda:2").gpu_index == 2


def test_tensorrt_gets_its_options_and_an_engine_for_the_batch(pristine: Path) -> None:
    spec = GraphSpec(1, HEIGHT_PX, WIDTH_PX, 3)
    runner = RunOptions("tensorrt", "cuda:0", cuda_graph=True).open(pristine / "model.fp32.onnx", spec)
    assert isinstance(runner, TensorRTRunner)
    assert (runner.cuda_graph, runner.zero_copy) == (True, False)
