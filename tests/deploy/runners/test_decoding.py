from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from segkd.errors import SegkdError
from segkd_deploy.bench.run_options import RunOptions
from segkd_deploy.graph_spec import GraphSpec, LabelResize
from segkd_deploy.runners.decoding import MIN_CLASSES, choose_decoding, logits_graph_of
from segkd_deploy.runners.onnxruntime import OnnxRuntimeRunner
from tests.deploy.conftest import SHORT_BENCH, Run
from tests.deploy.runners.base import BaseRunnerTester
from tests.deploy.tails import noise_frames, tail_graph, write_pair

GRID, SIZE, WINDOW = (8, 9), (32, 36), (1, 2, 30, 33)
MANY = 40


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write_pair(tmp_path, tail_graph(GRID, SIZE, MANY, window=WINDOW))


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_pair(tmp_path, tail_graph(GRID, SIZE, MIN_CLASSES - 1))


class TestRunnerWithHostDecoder(BaseRunnerTester):
    def open(self, graph: Path, **options: object) -> OnnxRuntimeRunner:
        return OnnxRuntimeRunner(graph, decoder="host", **options)


def test_auto_takes_the_host_for_many_classes_and_says_why(many: Path) -> None:
    choice = choose_decoding("auto", many, "cpu")
    assert choice.host is not None and choice.host.graph == many.with_name("model.fp32.logits.onnx")
    assert (choice.host.num_classes, choice.host.grid) == (MANY, GRID)
    assert choice.host.resize == LabelResize(SIZE, 1, 2, (30, 33), False)
    assert choice.why == "40 classes, the host decoder is taken from 32 on"
    assert choose_decoding("graph", many, "cpu").host is None


def test_auto_leaves_few_classes_to_the_graph(few: Path) -> None:
    choice = choose_decoding("auto", few, "cpu")
    assert (choice.host, choice.why) == (None, "31 classes, the host decoder is taken from 32 on")
    assert choose_decoding("host", few, "cpu").host is not None


def test_other_providers_decode_in_the_graph(many: Path) -> None:
    assert "on cuda the graph decodes" in choose_decoding("auto", many, "cuda").why
    with pytest.raises(SegkdError, match="the host decoder is for CPUs"):
        choose_decoding("host", many, "cuda")


def test_without_the_twin(many: Path) -> None:
    logits_graph_of(many).unlink()
    choice = choose_decoding("auto", many, "cpu")
    assert choice.host is None and "model.fp32.logits.onnx is not there" in choice.why
    with pytest.raises(SegkdError, match="needs the logits graph"):
        choose_decoding("host", many, "cpu")


def test_logits_graph_of_another_export(many: Path) -> None:
    logits_graph = onnx.load(logits_graph_of(many))
    helper.set_model_props(logits_graph, {"weights_sha256": "other"})
    onnx.save(logits_graph, logits_graph_of(many))
    assert "of another export" in choose_decoding("auto", many, "cpu").why
    with pytest.raises(SegkdError, match="of another export"):
        choose_decoding("host", many, "cpu")


def test_twin_that_gives_no_logits(many: Path) -> None:
    onnx.save(onnx.load(many), logits_graph_of(many))
    with pytest.raises(SegkdError, match=r"expected float32 logits \(N, K, h, w\)"):
        choose_decoding("host", many, "cpu")


def test_tail_that_the_host_cannot_do(tmp_path: Path) -> None:
    graph = write_pair(tmp_path, tail_graph(GRID, SIZE, MANY, coordinates="asymmetric"))
    assert "asymmetric" in choose_decoding("auto", graph, "cpu").why
    with pytest.raises(SegkdError, match="cannot stand for what follows 'logits'"):
        choose_decoding("host", graph, "cpu")


def test_unknown_decoder(many: Path) -> None:
    with pytest.raises(SegkdError, match="unknown decoder 'hots'; did you mean 'host'"):
        choose_decoding("hots", many, "cpu")


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners"])
def test_runner_gives_the_labels_of_the_graph(tmp_path: Path, mode: str) -> None:
    graph = write_pair(tmp_path, tail_graph(GRID, SIZE, MANY, coordinates=mode, window=WINDOW, batch=None))
    frames = noise_frames(graph, 3)
    with OnnxRuntimeRunner(graph, decoder="graph") as runner:
        expected = runner.infer(frames)
        assert runner.describe()["decoder"] == {"used": "graph", "why": "asked for"}
        assert set(runner.last_stages_ms) == {"compute"} and runner.describe()["logits_sha256"] is None
    with OnnxRuntimeRunner(graph) as runner:
        for count in (3, 1):
            found = runner.infer(frames[:count])
            assert (found == expected[:count]).mean() >= 1 - 1e-3  # ties within rounding
        said = runner.describe()
        assert said["decoder"] == {"used": "host", "why": "40 classes, the host decoder is taken from 32 on"}
        assert said["logits_sha256"] != said["graph_sha256"]
        assert set(runner.last_stages_ms) == {"compute", "post"}
    assert len(np.unique(expected)) > 10


def test_runner_holds_the_graph_against_a_given_spec(many: Path) -> None:
    with pytest.raises(SegkdError, match="expected batch x height x width 1 x 8 x 8"):
        OnnxRuntimeRunner(many, decoder="host", spec=GraphSpec(1, 8, 8, 3)).__enter__()


def test_run_options_pass_it_on(few: Path) -> None:
    with RunOptions(decoder="host").open(few, OnnxRuntimeRunner(few).spec) as runner:
        assert runner.describe()["decoder"]["used"] == "host"
    with pytest.raises(SegkdError, match="--decoder belongs to --runtime onnxruntime, not to tensorrt"):
        RunOptions(runtime="tensorrt", provider="cuda:0", decoder="host")


def test_bench_says_which_decoder_ran(segkd: Run, artifact: Path) -> None:
    import json

    short = [*SHORT_BENCH, "--cold-starts", "1", "--no-telemetry"]
    for decoder, used in (("auto", "graph"), ("host", "host")):
        result = segkd("bench", artifact, "--decoder", decoder, "--json", *short)
        assert result.code == 0, result.err
        report = json.loads(result.out)
        assert report["runtime"]["decoder"]["used"] == used
        assert (report["stages_ms"]["post"] is not None) == (used == "host")
    (artifact / "model.fp32.logits.onnx").unlink()
    assert segkd("bench", artifact, "--decoder", "host", *short).code == 1  # the artifact is no longer whole
