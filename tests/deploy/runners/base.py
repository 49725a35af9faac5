"""What every runner must hold: subclass ``BaseRunnerTester``, give ``open``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd_deploy.runners import Runner
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX, labels_of, make_frames

LABELS = (1, HEIGHT_PX, WIDTH_PX)


class BaseRunnerTester:
    """Inherited tests of a runner over the graph whose class is the strongest channel."""

    def open(self, graph: Path, **options: Any) -> Runner:
        """The runner under test, not yet entered."""
        raise NotImplementedError

    @pytest.fixture
    def graph(self, pristine: Path) -> Path:
        return pristine / "model.fp32.onnx"

    def test_spec_is_known_before_the_session(self, graph: Path) -> None:
        spec = self.open(graph).spec
        assert (spec.batch, spec.height_px, spec.width_px) == LABELS

    def test_labels_are_right(self, graph: Path) -> None:
        with self.open(graph) as runner:
            for frame in make_frames(4, seed=3):
                labels = runner.infer(frame[None])
                assert labels.dtype == np.uint8
                np.testing.assert_array_equal(labels, labels_of(frame[None]))

    def test_writes_into_out_and_returns_it(self, graph: Path) -> None:
        frames, out = make_frames(1), np.full(LABELS, 9, np.uint8)
        with self.open(graph) as runner:
            assert runner.infer(frames, out) is out
        np.testing.assert_array_equal(out, labels_of(frames))

    def test_results_do_not_share_memory(self, graph: Path) -> None:
        first, second = make_frames(2)[:, None]
        with self.open(graph) as runner:
            labels = runner.infer(first)
            runner.infer(second)
        np.testing.assert_array_equal(labels, labels_of(first))

    @pytest.mark.parametrize(
        ("frames", "message"),
        [
            (np.zeros((*LABELS, 3), np.float32), "expected uint8 .*, got float32"),
            (np.zeros((1, HEIGHT_PX, WIDTH_PX + 1, 3), np.uint8), "expected uint8 .*, got uint8"),
            (np.zeros((2, HEIGHT_PX, WIDTH_PX, 3), np.uint8), "expected uint8"),
            (np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8), "expected uint8"),
            (np.zeros((1, HEIGHT_PX, WIDTH_PX, 6), np.uint8)[..., ::2], "C-contiguous"),
        ],
    )
    def test_refuses_other_frames(self, graph: Path, frames: np.ndarray, message: str) -> None:
        with self.open(graph) as runner, pytest.raises(SegkdError, match=f"frames: .*{message}"):
            runner.infer(frames)

    def test_refuses_other_out(self, graph: Path) -> None:
        read_only = np.zeros(LABELS, np.uint8)
        read_only.flags.writeable = False
        with self.open(graph) as runner:
            for out in (np.zeros(LABELS, np.int64), np.zeros((1, 1, 1), np.uint8), read_only):
                with pytest.raises(SegkdError, match="out: "):
                    runner.infer(make_frames(1), out)

    def test_refuses_work_outside_with(self, graph: Path) -> None:
        runner = self.open(graph)
        with pytest.raises(SegkdError, match="not open"):
            runner.infer(make_frames(1))
        with runner:
            pass
        with pytest.raises(SegkdError, match="not open"):
            runner.infer(make_frames(1))

    def test_refuses_a_missing_graph(self, tmp_path: Path) -> None:
        with pytest.raises(SegkdError, match=r"gone\.onnx"), self.open(tmp_path / "gone.onnx"):
            pass

    def test_refuses_a_file_that_is_no_graph(self, tmp_path: Path) -> None:
        (tmp_path / "broken.onnx").write_bytes(b"no graph")
        with pytest.raises(SegkdError, match=r"broken\.onnx"), self.open(tmp_path / "broken.onnx"):
            pass

    def test_describes_itself(self, graph: Path) -> None:
        with self.open(graph) as runner:
            said = runner.describe()
        assert {"name", "version", "provider", "device", "threads", "graph_sha256"} <= said.keys()
        assert said["graph_sha256"] == sha256_file(graph)
