from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from segkd.errors import BackendMissing, MissingExtra, SegkdError
from segkd_deploy.tensorrt import api as tensorrt_api
from segkd_deploy.tensorrt.api import Messages, explain, load_tensorrt, parser_errors
from tests.deploy.fake_cudart import FakeGpu
from tests.deploy.fake_tensorrt import VERSIONS, make_tensorrt


def load(line: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    fake = make_tensorrt(line, FakeGpu())
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return load_tensorrt(fake.__name__)


@pytest.mark.parametrize(
    ("line", "flags", "strong"),
    [("8.6", 1, False), ("10.3", 2, True), ("10.13", 2, True), ("11.4", 1, True), ("rtx", 1, True)],
)
def test_flags_are_found_by_name(line: str, flags: int, strong: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    api = load(line, monkeypatch)
    assert (api.network_flags(), api.strongly_typed, api.version) == (flags, strong, VERSIONS[line])
    assert (api.builder_flag("FP16") is None) is (line in ("11.4", "rtx"))
    assert api.is_rtx is (line == "rtx")


def test_stand_in_raises_on_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    api = load("11.4", monkeypatch)
    config = api.module.Builder(api.logger).create_builder_config()
    for name in ("int8_calibrator", "max_workspace_size", "num_compute_capabilities"):
        assert not hasattr(config, name)
        with pytest.raises(AttributeError, match=name):
            setattr(config, name, 1)
    assert not hasattr(api.module.BuilderFlag, "INT8")


def test_logger_keeps_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    api = load("10.3", monkeypatch)
    severity = api.module.ILogger.Severity
    for level, text in ((severity.INFO, "hello"), (severity.ERROR, "bad\n thing"), (severity.ERROR, "bad\n thing")):
        api.logger.log(level, text)
    assert api.messages.said() == "bad thing"
    assert api.messages.lines[0] == ("INFO", "hello")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("CUDA initialization failure with error: 35", BackendMissing, "no usable NVIDIA driver or GPU"),
        ("In f at f.cpp:1 (cudaError 35: CUDA driver version is insufficient)", BackendMissing, "no usable NVIDIA"),
        (
            "Unable to load library: libnvinfer_builder_resource.so.10.3.0",
            BackendMissing,
            "a shared library is missing",
        ),
        ("generated on an incompatible device", BackendMissing, "built for another GPU"),
        ("The engine plan file is not compatible with this version of TensorRT", BackendMissing, "by another TensorRT"),
        ("node_conv: kernel weights has count 3", SegkdError, "conv: kernel weights"),
    ],
)
def test_reasons_in_words(text: str, error: type[SegkdError], message: str) -> None:
    raised = explain(Messages([("ERROR", text)]), "could not build", "tensorrt 10.3.0")
    assert type(raised) is error
    assert message in str(raised) and text in str(raised) and "tensorrt 10.3.0 could not build" in str(raised)


def test_without_an_error_the_warnings_are_told() -> None:
    assert Messages([("WARNING", "odd"), ("INFO", "fine")]).said() == "odd"
    assert Messages().said() == "it logged nothing"


@pytest.mark.parametrize(("line", "expected"), [("8.6", "node number 3: bad"), ("10.3", "node conv1 (Conv): bad")])
def test_parser_errors_name_the_node(line: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Error:
        def node(self) -> int:
            return 3

        def desc(self) -> str:
            return "bad"

        if line != "8.6":

            def node_name(self) -> str:
                return "conv1"

            def node_operator(self) -> str:
                return "Conv"

    class Parser:
        num_errors = 1

        def get_error(self, index: int) -> Error:
            return Error()

    assert parser_errors(Parser()) == [expected]


def test_libraries_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(tensorrt_api, "_TEGRA_RELEASE", tmp_path / "none")
    with pytest.raises(MissingExtra, match=r"pip install .*\[tensorrt\]'"):
        load_tensorrt()
    (tmp_path / "nv_tegra_release").write_text("# R36")
    monkeypatch.setattr(tensorrt_api, "_TEGRA_RELEASE", tmp_path / "nv_tegra_release")
    with pytest.raises(BackendMissing, match=r"apt-get install python3-libnvinfer.*--system-site-packages"):
        load_tensorrt()
    with pytest.raises(SegkdError, match="unknown TensorRT library 'tensorrt_rt'; did you mean 'tensorrt_rtx'"):
        load_tensorrt("tensorrt_rt")


def test_a_shared_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, *arguments: Any) -> Any:
        raise ImportError("libnvinfer.so.10: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(tensorrt_api.importlib, "import_module", broken)
    with pytest.raises(BackendMissing, match=r"is installed but does not load: libnvinfer\.so\.10.*LD_LIBRARY_PATH"):
        load_tensorrt()


def test_versions_that_are_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("tensorrt")
    old.__version__ = "8.5.2.2"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(SegkdError, match=r"tensorrt 8\.5\.2\.2 is too old; segkd needs 8\.6"):
        load_tensorrt()
