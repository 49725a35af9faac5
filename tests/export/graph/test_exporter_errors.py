from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from segkd.data.readers.cityscapes import LABEL_SPACE
from segkd.errors import SegkdError
from segkd_export.graph.camera_frame import CameraFrame
from segkd_export.graph.exporter_errors import foreign, refuse_large
from segkd_export.graph.graph import OUTPUTS, DeployGraph, deployable
from segkd_export.graph.to_onnx import to_onnx
from segkd_export.origin import open_model

SOURCE = """\
import torch
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    num_classes = 19

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 19, 1)


class Pool(Net):
    def forward(self, x):
        x = self.first(x)
        small = F.adaptive_max_pool2d(x, 3)  # line 17
        return self.last(x + F.interpolate(small, x.shape[2:]))


class Branch(Net):
    def forward(self, x):
        return self.last(self.between(self.first(x)))

    def between(self, x):
        if x.mean() > 0:  # line 26
            return x * 2
        return x


class Loud(Net):
    def forward(self, x):
        print("from the network")
        return self.last(self.first(x))
"""
IMGSZ = (16, 24)


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net_exporter_errors.py").write_text(SOURCE)
    monkeypatch.delitem(sys.modules, "net_exporter_errors", raising=False)
    importlib.invalidate_caches()
    monkeypatch.chdir(tmp_path)


def write(name: str) -> None:
    network = open_model(f"torch:net_exporter_errors:{name}", None, LABEL_SPACE).network
    frames = torch.zeros(1, *IMGSZ, 3, dtype=torch.uint8)
    to_onnx(DeployGraph(deployable(network, IMGSZ), CameraFrame(IMGSZ)), frames, OUTPUTS, {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Pool", r"net_exporter_errors\.py:17: ONNX has no operator for aten\.adaptive_max_pool2d; write this layer"),
        ("Branch", r"net_exporter_errors\.py:26: a branch or a size depends on the values .* use torch\.where"),
    ],
)
def test_the_operator_and_the_user_s_line(name: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SegkdError, match=message) as caught:
        write(name)
    assert "\n" not in str(caught.value) and caught.value.__cause__ is not None
    said = capfd.readouterr()
    assert said.out == "" and said.err.count("\n") == 1, "what torch says of itself is not shown"


def test_a_network_that_prints_leaves_stdout_alone(capfd: pytest.CaptureFixture[str]) -> None:
    network = open_model("torch:net_exporter_errors:Loud", None, LABEL_SPACE).network
    network(torch.zeros(1, 3, *IMGSZ))
    said = capfd.readouterr()
    assert said.out == "" and "from the network" in said.err


def test_weights_beyond_a_file_are_refused_by_their_size() -> None:
    with torch.device("meta"):
        network = torch.nn.Sequential(torch.nn.Conv2d(24000, 24000, 1))
        shared = torch.nn.Sequential(*[torch.nn.Conv2d(10000, 10000, 1)] * 9)
    with pytest.raises(SegkdError, match=r"has 2\.3 GB of float32 weights, and an ONNX file ends at 2 GB"):
        refuse_large(network)
    refuse_large(shared)


def test_other_libraries_errors_are_one_line_and_lack_of_memory_passes() -> None:
    with (
        pytest.raises(SegkdError, match=r"^the search failed \(KeyError: 'x'\); use fp32$"),
        foreign("the search", "use fp32"),
    ):
        raise KeyError("x")
    for error in (MemoryError(), OSError(28, "full"), SegkdError("known")):
        with pytest.raises(type(error)) as caught, foreign("the search", "use fp32"):
            raise error
        assert caught.value is error
