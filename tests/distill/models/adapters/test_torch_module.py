from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.sources import open_foreign_teacher, open_model
from segkd_distill.models.teachers.teacher import load_teacher
from tests.distill.models.base import small_image
from tests.distill.models.teachers.test_teacher import labels

SOURCE = '''
import torch
from torch import nn
from types import SimpleNamespace


class Plain(nn.Module):
    """Logits 0, 1, 2 are the mean red, green and blue of 4x4 blocks."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 4) * self.scale.view(1, 3, 1, 1)


class Stated(Plain):
    mean = (10.0, 20.0, 30.0)
    class_names = ["road", "sky", "car"]
    align_corners = True

    def __init__(self):
        super().__init__()
        self.register_buffer("std", torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1))

    def forward(self, x):
        return {"aux": None, "out": super().forward(x)}


class Wrapped(Plain):
    num_classes = 3

    def forward(self, x):
        if x.shape[0] == 1:
            raise RuntimeError("must not be probed")
        return SimpleNamespace(logits=super().forward(x))


class Tuple(Plain):
    def forward(self, x):
        return super().forward(x), None


class Flat(Plain):
    def forward(self, x):
        return x.mean((2, 3))


class Text(Plain):
    def forward(self, x):
        return "logits"


class Misnamed(Plain):
    class_names = ["road"]


class BadMean(Plain):
    mean = (1.0, 2.0)


class BadStd(Plain):
    std = (1.0, 0.0, 1.0)


def with_taps():
    from segkd_distill.models.zoo import build_model

    torch.manual_seed(0)
    network = build_model("quickstart-mv2", 3)
    network.class_names = ("car", "road", "sky")
    return network


class Raises(Plain):
    num_classes = 3

    def forward(self, x):
        return x.no_such_method()


class Quits(Plain):
    def __init__(self):
        raise SystemExit(3)


class Loud(Plain):
    print("while it is imported")

    def __init__(self):
        super().__init__()
        print("while it is built")

    def forward(self, x):
        print("while it runs")
        return super().forward(x)


class Odd(Plain):
    mean = ("a", "b", "c")


class Many(Plain):
    num_classes = 300


class NoList(Plain):
    class_names = 3


def needs(argument):
    return Plain()


def number():
    return 3


VERSION = 1
'''
IMAGE = small_image()[:, :, :44, :64]


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's module in the current folder."""
    (tmp_path / "my_nets.py").write_text(SOURCE)
    (tmp_path / "my_torn.py").write_text("\nx = (\n")
    (tmp_path / "my_broken.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield "my_nets"
    assert sys.path == path
    for name in ("my_nets", "my_broken", "my_torn"):
        sys.modules.pop(name, None)


def blocks(image: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(image.float(), 4)


def test_a_plain_module_sees_pixels_as_they_are() -> None:
    network, names = open_foreign_teacher("torch:my_nets:Plain", None, 3)
    assert names is None and network.num_classes == 3 and network.tap_info().channels == {}
    assert torch.equal(network(IMAGE).logits, blocks(IMAGE))


def test_what_a_module_states_is_done() -> None:
    network, names = open_foreign_teacher("torch:my_nets:Stated", None, 3)
    mean, std = torch.tensor([10.0, 20, 30]).view(1, 3, 1, 1), torch.tensor([1.0, 2, 4]).view(1, 3, 1, 1)
    torch.testing.assert_close(network(IMAGE).logits, blocks((IMAGE - mean) / std))
    assert names == ("road", "sky", "car") and network.align_corners
    teacher = load_teacher("torch:my_nets:Stated", None, labels("sky", "road", "car"))
    assert torch.equal(teacher(IMAGE).logits, network(IMAGE).logits[:, [1, 0, 2]])
    assert not any(p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize("name", ["Wrapped", "Tuple"])
def test_other_forms_of_output(name: str) -> None:
    network, _ = open_foreign_teacher(f"torch:my_nets:{name}", None, 3)
    assert torch.equal(network(IMAGE).logits, blocks(IMAGE))


def test_a_network_with_taps_is_used_as_it_is() -> None:
    teacher, names = open_foreign_teacher("torch:my_nets:with_taps", None, 3)
    assert isinstance(teacher, Segmenter) and "decoder" in teacher.tap_info().channels
    assert names == ("car", "road", "sky")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_from_a_file(tmp_path: Path, prefix: str) -> None:
    torch.save({"state_dict": {f"{prefix}scale": torch.tensor([2.0, 3.0, 4.0])}}, tmp_path / "w.pth")
    network, _ = open_foreign_teacher("torch:my_nets:Plain", tmp_path / "w.pth", 3)
    assert torch.equal(network(IMAGE).logits, blocks(IMAGE) * torch.tensor([2.0, 3, 4]).view(1, 3, 1, 1))
    torch.save({"other": torch.ones(3)}, tmp_path / "w.pth")
    with pytest.raises(SegkdError, match="belongs to this network"):
        open_foreign_teacher("torch:my_nets:Plain", tmp_path / "w.pth", 3)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("my_nets", "expected torch:MODULE:CALLABLE"),
        ("my_nets:", "expected torch:MODULE:CALLABLE"),
        ("my_nets:Plane", "unknown callable of my_nets 'Plane'; did you mean 'Plain'"),
        ("my_nets:VERSION", "unknown callable of my_nets 'VERSION'"),
        ("my_nots:Plain", "No module named 'my_nots'; it is searched in this folder"),
        ("my_broken:Plain", "No module named 'not_installed_anywhere'"),
        ("my_nets:number", "gave int; expected a torch.nn.Module"),
        ("my_nets:Flat", r"expected logits \(N, K, height, width\), got \(1, 3\)"),
        ("my_nets:Text", "gave str without logits"),
        ("my_nets:Misnamed", "has 1 class names and 3 classes"),
        ("my_nets:BadMean", "mean must be three numbers, RGB in 0..255, got 2"),
        ("my_nets:BadStd", "std must not be 0"),
        ("my_nets:Odd", r"mean must be three numbers, RGB in 0\.\.255, got \('a', 'b', 'c'\)"),
        ("my_nets:Many", "num_classes is 300; masks of 8 bits have 1 to 255 classes"),
        ("my_nets:NoList", "class_names must be a list of names, got int"),
        ("my_nets:Quits", r"torch:my_nets:Quits: my_nets\.py:\d+: SystemExit: 3"),
        ("my_nets:needs", "torch:my_nets:needs: TypeError: needs.. missing 1 required positional argument"),
        ("my_broken:Plain", r"torch:my_broken:Plain: my_broken\.py:1: ModuleNotFoundError"),
        ("my_torn:Plain", r"torch:my_torn:Plain: my_torn\.py:2: SyntaxError"),
    ],
)
def test_bad_modules_are_named(place: str, message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        open_foreign_teacher(f"torch:{place}", None, 3)


def test_what_fails_while_it_runs_keeps_the_line_of_its_file() -> None:
    network, _ = open_foreign_teacher("torch:my_nets:Raises", None, 3)
    line = SOURCE.splitlines().index("        return x.no_such_method()") + 1
    with pytest.raises(SegkdError, match=rf"^torch:my_nets:Raises: my_nets\.py:{line}: AttributeError: "):
        network(IMAGE)


def test_stdout_is_the_result_s(capsys: pytest.CaptureFixture[str]) -> None:
    network, _ = open_foreign_teacher("torch:my_nets:Loud", None, 3)
    network(IMAGE)
    said = capsys.readouterr()
    assert said.out == ""
    assert all(f"while it {word}" in said.err for word in ("is imported", "is built", "runs"))


def test_lack_of_memory_is_no_fault_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = open_foreign_teacher("torch:my_nets:Wrapped", None, 3)

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch.nn.functional, "avg_pool2d", exhausted)
    with pytest.raises(MemoryError):
        network(torch.cat([IMAGE, IMAGE]))


def test_it_cannot_be_a_student() -> None:
    with pytest.raises(SegkdError, match="can teach but not be trained here"):
        open_model("torch:my_nets:Plain", 3)


def test_images_and_logits_of_a_wrong_shape() -> None:
    network, _ = open_foreign_teacher("torch:my_nets:Plain", None, 3)
    with pytest.raises(SegkdError, match=r"expected images \(N, 3, height, width\)"):
        network(torch.zeros(2, 1, 8, 8))
    network.num_classes = 4
    with pytest.raises(SegkdError, match=r"expected logits \(2, 4, height, width\), the network gave \(2, 3, 11, 16\)"):
        network(IMAGE)
