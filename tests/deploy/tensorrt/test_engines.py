"""Building over stand-ins of every line of versions, and over the real TensorRT-RTX, which needs no GPU to build."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from segkd.errors import BackendMissing, SegkdError
from segkd_deploy.tensorrt.api import load_tensorrt
from segkd_deploy.tensorrt.engine_cache import EngineCache, EngineKey
from segkd_deploy.tensorrt.engines import BuildOptions, Engine, build_engine, get_engine
from tests.deploy.artifacts import HEIGHT_PX, WIDTH_PX, make_graph
from tests.deploy.fake_cudart import FakeGpu
from tests.deploy.fake_tensorrt import VERSIONS, make_tensorrt

KEY = EngineKey("a" * 64, "tensorrt", "10.3.0", "8.7", None, ())


def load(line: str, monkeypatch: pytest.MonkeyPatch, gpu: FakeGpu | None) -> Any:
    fake = make_tensorrt(line, gpu)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return load_tensorrt(fake.__name__)


def saved(folder: Path, **options: Any) -> Path:
    path = folder / "graph.onnx"
    onnx.save(make_graph(**options), path)
    return path


def head(engine: Engine) -> dict[str, Any]:
    """What the stand-in wrote of its settings."""
    facts: dict[str, Any] = json.loads(engine.plan.partition(b"\n")[0])
    return facts


def lower_precision(folder: Path) -> Path:
    """A graph with half weights and Q/DQ nodes."""
    model = make_graph()
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "scale"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float16), "half"))
    model.graph.node.append(helper.make_node("QuantizeLinear", ["float", "scale"], ["q"]))
    onnx.save(model, folder / "lower.onnx")
    return folder / "lower.onnx"


@pytest.mark.parametrize("line", VERSIONS)
def test_settings_reach_the_builder(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = load(line, monkeypatch, FakeGpu())
    options = BuildOptions(workspace_mib=64, optimization_level=5)
    facts = head(build_engine(api, saved(tmp_path), options, KEY))
    assert (facts["level"], facts["workspace"], facts["flags"], facts["profile"]) == (5, 64 << 20, [], [])
    assert head(build_engine(api, saved(tmp_path), BuildOptions(tf32=True), KEY))["flags"] == ["TF32"]


@pytest.mark.parametrize("line", VERSIONS)
def test_precision_flags_only_without_strong_typing(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = build_engine(load(line, monkeypatch, FakeGpu()), lower_precision(tmp_path), BuildOptions(), KEY)
    expected = ("FP16", "INT8") if line == "8.6" else ()
    assert engine.weak_flags == expected and head(engine)["flags"] == list(expected)


def test_profile_of_a_free_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = load("10.3", monkeypatch, FakeGpu())
    engine = build_engine(api, saved(tmp_path, batch="N"), BuildOptions(batches=(1, 4, 8)), KEY)
    frame = [HEIGHT_PX, WIDTH_PX, 3]
    assert head(engine)["profile"] == [{"frames": [[1, *frame], [4, *frame], [8, *frame]]}]


def test_a_free_size_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = make_graph()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    onnx.save(model, tmp_path / "free.onnx")
    with pytest.raises(SegkdError, match=r"input frames .*only the batch may be free"):
        build_engine(load("10.3", monkeypatch, FakeGpu()), tmp_path / "free.onnx", BuildOptions(), KEY)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("8.6", "node number 0: No importer.*; node number 1: No importer"),
        ("10.3", r"node first \(Bogus\): No importer.*; node second \(Odd\): No importer"),
    ],
)
def test_every_message_of_the_parser_is_told(
    line: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = make_graph()
    for name, operator in (("second", "Odd"), ("first", "Bogus")):
        model.graph.node.insert(0, helper.make_node(operator, ["frames"], [name], name=name))
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(SegkdError, match=rf"{line}.* does not take .*odd\.onnx: {message}"):
        build_engine(load(line, monkeypatch, FakeGpu()), tmp_path / "odd.onnx", BuildOptions(), KEY)


def test_a_build_that_fails_says_what_was_logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = load("10.3", monkeypatch, FakeGpu())
    monkeypatch.setattr("segkd_deploy.tensorrt.engines._add_profile", lambda *arguments: None)
    with pytest.raises(SegkdError, match=r"could not build an engine of .*no optimization profile"):
        build_engine(api, saved(tmp_path, batch="N"), BuildOptions(), KEY)


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BackendMissing, match=r"tensorrt 10\.3\.0 could not start: there is no usable NVIDIA driver"):
        build_engine(load("10.3", monkeypatch, None), saved(tmp_path), BuildOptions(), KEY)


def test_times_of_kernels_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api, graph = load("10.3", monkeypatch, FakeGpu()), saved(tmp_path)
    times = tmp_path / "cache" / "times"
    for expected in (b"+times", b"+times+times"):
        build_engine(api, graph, BuildOptions(), KEY, times)
        assert times.read_bytes() == expected
    times.write_bytes(b"damaged")
    build_engine(api, graph, BuildOptions(), KEY, times)
    assert times.read_bytes() == b"+times"


def test_engine_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api, graph, cache = load("10.3", monkeypatch, FakeGpu()), saved(tmp_path), EngineCache(tmp_path / "cache")
    made = get_engine(api, graph, BuildOptions(), sm="8.7", l4t="36.4.3", cache=cache)
    found = get_engine(api, graph, BuildOptions(), sm="8.7", l4t="36.4.3", cache=cache)
    assert (made.from_cache, found.from_cache) == (False, True)
    assert (found.plan, found.layers, found.build_s, found.key) == (made.plan, made.layers, made.build_s, made.key)
    saved(tmp_path, bias=1.0)
    assert not get_engine(api, graph, BuildOptions(), sm="8.7", l4t="36.4.3", cache=cache).from_cache


def test_only_rtx_builds_for_other_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = BuildOptions(sm=("8.6", "8.9"))
    facts = head(build_engine(load("rtx", monkeypatch, None), saved(tmp_path), options, KEY))
    assert facts["capabilities"] == ["SM86", "SM89"]
    with pytest.raises(SegkdError, match="builds for this machine's GPU alone"):
        build_engine(load("10.3", monkeypatch, FakeGpu()), saved(tmp_path), options, KEY)
    with pytest.raises(SegkdError, match=r"does not compile for SM 8\.7; it knows SM75, SM86, SM89"):
        build_engine(load("rtx", monkeypatch, None), saved(tmp_path), BuildOptions(sm=("8.7",)), KEY)


def test_batches_in_order() -> None:
    with pytest.raises(SegkdError, match="expected 1 <= smallest <= usual <= largest, got 2, 1, 4"):
        BuildOptions(batches=(2, 1, 4))


# --- The real TensorRT-RTX. ---


@pytest.fixture(scope="module")
def rtx() -> Any:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this system")
    return load_tensorrt("tensorrt_rtx")


def test_real_parser_and_compiler_take_the_graph(rtx: Any, tmp_path: Path) -> None:
    one, same = (get_engine(rtx, saved(tmp_path), BuildOptions(sm=("8.6",)), sm="8.6") for _ in range(2))
    assert one.layers >= 4 and len(one.plan) > 10_000 and one.plan == same.plan
    free = get_engine(rtx, saved(tmp_path, batch="N"), BuildOptions(sm=("8.6", "12.0")), sm="8.6+12.0")
    assert free.layers == one.layers


def test_real_parser_names_the_node(rtx: Any, tmp_path: Path) -> None:
    model = make_graph()
    model.graph.node[1].op_type = "Unique"
    model.graph.node[1].name = "odd_one"
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(SegkdError, match=r"tensorrt_rtx .* does not take .*node odd_one \(Unique\): "):
        get_engine(rtx, tmp_path / "odd.onnx", BuildOptions(sm=("8.6",)), sm="8.6")
    (tmp_path / "no.onnx").write_bytes(make_graph().SerializeToString()[:-9] + b"")
    with pytest.raises(SegkdError, match=r"no\.onnx"):
        get_engine(rtx, tmp_path / "no.onnx", BuildOptions(sm=("8.6",)), sm="8.6")
