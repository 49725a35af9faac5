from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from segkd.errors import BackendMissing, MissingExtra, SegkdError
from segkd.machine.cpus import usable_cores
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.onnx_file.header import spec_of
from segkd_deploy.runners import open_runner
from segkd_deploy.runners.onnxruntime import OnnxRuntimeRunner, open_session
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX, labels_of, make_frames, make_graph
from tests.deploy.runners.base import BaseRunnerTester


class TestOnnxRuntimeRunner(BaseRunnerTester):
    def open(self, graph: Path, **options: Any) -> OnnxRuntimeRunner:
        return OnnxRuntimeRunner(graph, **options)

    def test_threads_and_provider_are_those_used(self, graph: Path) -> None:
        with self.open(graph, threads=1) as runner:
            said = runner.describe()
        assert (said["threads"], said["inter_op_threads"]) == (1, 1)
        assert (said["provider"], said["version"]) == ("CPUExecutionProvider", onnxruntime.__version__)
        with self.open(graph) as runner:
            assert runner.describe()["threads"] == usable_cores()

    def test_compute_stage_is_timed_on_the_cpu(self, graph: Path) -> None:
        with self.open(graph) as runner:
            runner.infer(make_frames(1))
            assert set(runner.last_stages_ms) == {"compute"} and runner.last_stages_ms["compute"] > 0

    def test_any_batch(self, tmp_path: Path) -> None:
        onnx.save(make_graph(batch="N"), tmp_path / "any.onnx")
        with self.open(tmp_path / "any.onnx") as runner:
            assert runner.spec.batch is None
            for count in (1, 3):
                frames = make_frames(count)
                np.testing.assert_array_equal(runner.infer(frames), labels_of(frames))

    def test_class_count_comes_from_the_metadata(self, graph: Path, tmp_path: Path) -> None:
        onnx.save(make_graph(classes=["a", "b", "c"]), tmp_path / "named.onnx")
        assert self.open(tmp_path / "named.onnx").spec.num_classes == 3
        assert self.open(graph).spec.num_classes == 256

    def test_graph_is_held_against_a_given_spec(self, graph: Path) -> None:
        with pytest.raises(SegkdError, match=f"expected .* 1 x 8 x {WIDTH_PX}, the graph has 1 x {HEIGHT_PX}"):
            self.open(graph, spec=GraphSpec(1, 8, WIDTH_PX, 3)).__enter__()

    def test_refuses_a_graph_that_is_not_complete(self, pristine: Path) -> None:
        with pytest.raises(SegkdError, match=r"expected a complete graph.*logits"):
            self.open(pristine / "model.fp32.logits.onnx")

    def test_missing_provider_is_no_cpu_run(self, graph: Path) -> None:
        assert "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
        with pytest.raises(BackendMissing, match=r"provider cuda .* is not in this onnxruntime"):
            self.open(graph, provider="cuda")

    def test_provider_that_cannot_start_is_no_cpu_run(self, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        available = [*onnxruntime.get_available_providers(), "CUDAExecutionProvider"]
        real = onnxruntime.InferenceSession

        def falls_back(path: str, sess_options: Any, providers: list[str]) -> Any:
            return real(path, sess_options=sess_options, providers=["CPUExecutionProvider"])

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
        monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
        with pytest.raises(BackendMissing, match="could not start, onnxruntime would have run on CPUExecutionProvider"):
            open_session(graph, "cuda")

    def test_without_onnxruntime(self, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(MissingExtra, match=r"onnxruntime is not installed: pip install .*\[ort\]'"):
            self.open(graph)

    def test_bad_options(self, graph: Path) -> None:
        with pytest.raises(SegkdError, match="unknown onnxruntime provider 'cdua'; did you mean 'cuda'"):
            self.open(graph, provider="cdua")
        with pytest.raises(SegkdError, match="unknown onnxruntime provider 'cdua'; did you mean 'cuda'"):
            open_runner(graph, provider="cdua", spec=spec_of(graph))
        with pytest.raises(SegkdError, match="threads: expected 1 or more, got 0"):
            self.open(graph, threads=0)
        with pytest.raises(SegkdError, match="unknown runtime 'onnxruntim'"):
            open_runner(graph, "onnxruntim")
