from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd.recipe.recipe import StudentSection
from segkd_distill.models.backbones.timm_encoder import TimmEncoder
from segkd_distill.models.checkpoints import load_backbone_weights, save_tensors
from segkd_distill.models.checkpoints.encoder import match_names, match_order
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.sources import open_model
from segkd_distill.student import build_student
from tests.distill.models.teachers.test_teacher import labels

NAME = "timm:tiny+fcn,stride=32,channels=4"


class Block(nn.Module):
    """A depthwise block with its gate, in the order of MobileNet and EfficientNet."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 3, 2, 1, groups=width, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv_reduce = nn.Conv2d(width, 2, 1)
        self.conv_expand = nn.Conv2d(2, width, 1)

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.bn1(self.conv_dw(image))
        gate: Tensor = self.conv_expand(self.conv_reduce(features.mean((2, 3), keepdim=True)))
        return features * gate.sigmoid()


class Body(nn.Module):
    """What timm gives with ``features_only``: four levels; the first level of names is flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(3, 4, 3, 2, 1, bias=False)
        for stage in range(4):
            self.add_module(f"stages_{stage}", Block(4))
        self.feature_info = SimpleNamespace(channels=lambda: [4] * 4, reduction=lambda: [4, 8, 16, 32])

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = [self.conv_stem(image)]
        for stage in range(4):
            levels.append(self.get_submodule(f"stages_{stage}")(levels[-1]))
        return levels[1:]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    fake = SimpleNamespace(
        list_models=lambda: ["tiny"],
        create_model=lambda *_, **__: Body(),
        get_pretrained_cfg_value=lambda *_: None,
    )
    monkeypatch.setitem(sys.modules, "timm", fake)
    torch.manual_seed(0)
    return open_model(NAME, 3)[0]


def published() -> dict[str, Tensor]:
    """A whole network of timm's: its own names, and a classifier."""
    torch.manual_seed(1)
    state = {name.replace("stages_", "stages."): torch.rand_like(value) for name, value in Body().state_dict().items()
             if not name.endswith("num_batches_tracked")}  # fmt: skip
    return {**state, "conv_head.weight": torch.rand(8, 4, 1, 1), "classifier.weight": torch.rand(10, 8)}


def ported() -> dict[str, Tensor]:
    """The tensors of ``published`` as a port calls them, in the same order."""
    words = (("stages.", "_blocks."), ("conv_", "_conv_"), ("bn1", "_bn1"), ("classifier", "_fc"))
    state = {}
    for name, value in published().items():
        for theirs, ours in words:
            name = name.replace(theirs, ours)
        state[name] = value
    return state


def body_of(model: Segmenter) -> dict[str, Tensor]:
    assert isinstance(model.backbone, TimmEncoder)
    return {name.replace("stages_", "stages."): value for name, value in model.backbone.body.state_dict().items()}


def is_published(model: Segmenter) -> bool:
    body, expected = body_of(model), published()
    return all(
        torch.equal(value, expected[name]) for name, value in body.items() if not name.endswith("num_batches_tracked")
    )


@pytest.mark.parametrize("prefix", ["", "module.", "model.encoder.", "backbone."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_timms_own_names(
    model: Segmenter, tmp_path: Path, prefix: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {prefix + name: value for name, value in published().items()}
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": state}, path)
    else:
        save_tensors(path, state)
    assert not is_published(model)
    load_backbone_weights(model, path)
    assert is_published(model)
    said = capsys.readouterr().err
    assert "w" + suffix in said and "37 tensors loaded (timm); 2 unexpected" in said and "order" not in said


def test_another_projects_names_in_the_same_order(
    model: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(ported(), tmp_path / "port.pth")
    load_backbone_weights(model, tmp_path / "port.pth")
    assert is_published(model)
    (line,) = capsys.readouterr().err.splitlines()
    assert "port.pth: 37 tensors loaded (other names); 2 unexpected (_conv_head.weight, _fc.weight)" in line
    assert "matched by order and shape, not by name: conv_stem.weight <- _conv_stem.weight, " in line


def test_a_student_starts_from_the_file(model: Segmenter, tmp_path: Path) -> None:
    torch.save(published(), tmp_path / "w.pth")
    section = StudentSection(model=NAME, backbone_weights=str(tmp_path / "w.pth"))
    student, config = build_student(section, 3)
    assert is_published(student) and config.name == NAME


def test_the_configuration_beside_the_file_tells_the_normalisation(model: Segmenter, tmp_path: Path) -> None:
    torch.save(published(), tmp_path / "w.pth")
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}}')
    section = StudentSection(model=NAME, backbone_weights=str(tmp_path / "w.pth"))
    student, config = build_student(section, 3)
    assert config.mean == (127.5,) * 3 and student.std.flatten().tolist() == [51.0] * 3


def test_a_run_folder_gives_its_backbone(model: Segmenter, tmp_path: Path) -> None:
    """Names of segkd's own go the way of every backbone."""
    torch.manual_seed(3)
    other, config = open_model(NAME, 3)
    save_model(tmp_path / "run", other, config, labels("a", "b", "c"), (64, 64))
    load_backbone_weights(model, tmp_path / "run")
    assert all(torch.equal(value, body_of(other)[name]) for name, value in body_of(model).items())


def test_an_order_that_the_file_does_not_keep_is_not_used(model: Segmenter, tmp_path: Path) -> None:
    before = body_of(model)["conv_stem.weight"].clone()
    save_tensors(tmp_path / "port.safetensors", ported())
    with pytest.raises(
        SegkdError, match=r"lacks 37 of the encoder's 37 .* does not keep their order: give the file of torch\.save"
    ):
        load_backbone_weights(model, tmp_path / "port.safetensors")
    assert torch.equal(body_of(model)["conv_stem.weight"], before)


@pytest.mark.parametrize("wrong", ["shape", "kind", "fewer", "one more in the middle"])
def test_an_order_that_disagrees_is_refused(model: Segmenter, tmp_path: Path, wrong: str) -> None:
    before = body_of(model)["conv_stem.weight"].clone()
    items = list(ported().items())
    place = next(index for index, (name, _) in enumerate(items) if name.endswith("_bn1.bias"))
    said = rf"number {place + 1} is stages_0\.bn1\.bias \(4,\) there and "
    if wrong == "shape":
        items[place] = (items[place][0], torch.rand(5))
        said += r"_blocks\.0\._bn1\.bias \(5,\) in the file"
    elif wrong == "kind":
        items[place - 1 : place + 1] = [items[place], items[place - 1]]
        said = rf"number {place} is stages_0\.bn1\.weight \(4,\) there and _blocks\.0\._bn1\.bias"
    elif wrong == "fewer":
        items, said = items[:20], "has 20 tensors, the encoder 37"
    else:
        items.insert(place, ("_extra.weight", torch.rand(4)))
        said += r"_extra\.weight \(4,\) in the file"
    torch.save(dict(items), tmp_path / "port.pth")
    with pytest.raises(SegkdError, match=said):
        load_backbone_weights(model, tmp_path / "port.pth")
    assert torch.equal(body_of(model)["conv_stem.weight"], before)


def test_names_that_are_its_own_but_not_all_or_of_another_shape(model: Segmenter, tmp_path: Path) -> None:
    state = published()
    del state["stages.3.conv_expand.bias"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(SegkdError, match=r"part\.pth: lacks 1 of the encoder's 37 tensors \(stages_3\.conv_expand"):
        load_backbone_weights(model, tmp_path / "part.pth")
    torch.save({**published(), "conv_stem.weight": torch.rand(8, 3, 3, 3)}, tmp_path / "wide.pth")
    with pytest.raises(SegkdError, match=r"1 of the encoder's 37 tensors have another shape .*another encoder's"):
        load_backbone_weights(model, tmp_path / "wide.pth")


def test_networks_that_timm_holds_inside_another() -> None:
    """Their names all begin with ``model.``, the file's do not."""
    own = {f"model.{name}": value for name, value in published().items()}
    found = match_names(own, {**published(), "head.bias": torch.rand(3)})
    assert found == {f"model.{name}": name for name in published()}
    assert match_names(own, ported()) is None
    assert match_order(own, ported()) == dict(zip(own, ported(), strict=True))
