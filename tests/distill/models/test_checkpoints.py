from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.models.checkpoints import (
    load_backbone,
    load_into,
    load_tensors,
    save_tensors,
    strip_prefixes,
    unwrap,
)
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import ModelConfig, build_model

CONFIG = ModelConfig(
    "small",
    "resnetv1c",
    "psp",
    {"depth": 18, "base_width": 8, "blocks": (1, 1, 1, 1)},
    {"channels": 8},
    auxiliary_channels=8,
)


def model(seed: int = 0, classes: int = 3, config: ModelConfig = CONFIG) -> Segmenter:
    torch.manual_seed(seed)
    return build_model(config, classes)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.target),))


class TestLoadTensors:
    def test_safetensors_and_torch_files(self, tmp_path: Path) -> None:
        state = model().to(memory_format=torch.channels_last).state_dict()
        save_tensors(tmp_path / "a.safetensors", state)
        torch.save(state, tmp_path / "b.pth")
        assert equal(load_tensors(tmp_path / "a.safetensors"), state)
        assert equal(load_tensors(str(tmp_path / "b.pth")), state)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.pth"]

    def test_mmcv_checkpoint(self, tmp_path: Path) -> None:
        state = model().state_dict()
        meta = {"CLASSES": ("a", "b"), "epoch": 3, "time": "now"}
        torch.save({"meta": meta, "state_dict": state, "optimizer": {"lr": 0.1}}, tmp_path / "c.pth")
        assert equal(load_tensors(tmp_path / "c.pth"), state)

    def test_code_in_a_pickle_is_refused_and_not_run(self, tmp_path: Path) -> None:
        target = tmp_path / "executed"
        torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": Malicious(target)}, tmp_path / "evil.pth")
        with pytest.raises(SegkdError, match=r"evil\.pth holds more than tensors \(\w+\.mkdir\)") as caught:
            load_tensors(tmp_path / "evil.pth")
        assert "\n" not in str(caught.value)
        assert not target.exists()

    def test_plain_pickles_are_refused_and_not_run(self, tmp_path: Path) -> None:
        import pickle

        target = tmp_path / "executed"
        (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"a": Malicious(target)}))
        with pytest.raises(SegkdError, match=r"evil\.pkl"):
            load_tensors(tmp_path / "evil.pkl")
        assert not target.exists()

    def test_objects_beside_the_tensors_are_named(self, tmp_path: Path) -> None:
        torch.save({"state_dict": {"a": torch.zeros(1)}, "best": np.float64(1)}, tmp_path / "n.pth")
        with pytest.raises(SegkdError, match=r"holds more than tensors \(numpy\S+scalar\)"):
            load_tensors(tmp_path / "n.pth")

    @pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"hello world, no weights here"])
    def test_foreign_bytes(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SegkdError, match=rf"{name} (cannot be read as a checkpoint|is not a complete safetensors)"):
            load_tensors(tmp_path / name)

    @pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
    def test_half_a_file(self, tmp_path: Path, name: str) -> None:
        state = model().state_dict()
        save_tensors(tmp_path / name, state) if name.endswith("tensors") else torch.save(state, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(SegkdError, match=name):
            load_tensors(tmp_path / name)

    def test_missing_file_folder_and_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(SegkdError, match=r"no weights file .*w\.pth"):
            load_tensors(tmp_path / "w.pth")
        with pytest.raises(SegkdError, match="is a folder; expected a weights file"):
            load_tensors(tmp_path)
        torch.save({"epoch": 3}, tmp_path / "e.pth")
        with pytest.raises(SegkdError, match="holds no tensors"):
            load_tensors(tmp_path / "e.pth")


class TestNames:
    def test_unwrap(self) -> None:
        a = torch.zeros(1)
        assert unwrap({"a": a, "epoch": 1}) == {"a": a}
        assert unwrap({"state_dict": {"a": a}, "model": {"b": a}}) == {"a": a}
        assert unwrap({"model": {"state_dict": {"a": a}}, "optimizer": {}}) == {"a": a}
        assert unwrap(a) == {}

    @pytest.mark.parametrize(
        "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "student.", "architecture.model."]
    )
    def test_prefixes_of_wrappers(self, prefix: str) -> None:
        names = ["backbone.conv1.weight", "decode_head.conv_seg.bias"]
        tensors = {prefix + name: torch.zeros(1) for name in names}
        assert list(strip_prefixes(tensors)) == names

    def test_a_prefix_of_some_names_only_stays(self) -> None:
        names = ["model.a", "head.b"]
        assert list(strip_prefixes(dict.fromkeys(names, torch.zeros(1)))) == names

    def test_teacher_beside_the_student_is_dropped(self) -> None:
        names = ["architecture.model.backbone.a", "teacher.backbone.a", "data_preprocessor.mean"]
        assert list(strip_prefixes(dict.fromkeys(names, torch.zeros(1)))) == ["backbone.a"]


class TestLoadInto:
    def test_report_of_a_full_match(self) -> None:
        target, source = model(1), model(0).state_dict()
        report = load_into(target, source)
        assert set(report.matched) == set(source)
        assert (report.missing, report.unexpected, report.mismatched) == ((), (), ())
        assert equal(target.state_dict(), source)

    def test_half_precision_and_absent_counters(self) -> None:
        source = {n: t.half() for n, t in model(0).state_dict().items() if not n.endswith("num_batches_tracked")}
        target = model(1)
        assert load_into(target, source).missing == ()
        weight = target.backbone.stem[0].weight
        assert weight.dtype == torch.float32
        assert torch.equal(weight, source["backbone.stem.0.weight"].float())

    def test_auxiliary_head_that_the_network_lacks(self) -> None:
        import dataclasses

        plain = model(1, config=dataclasses.replace(CONFIG, auxiliary_channels=None))
        assert load_into(plain, model(0).state_dict()).unexpected == ()

    def test_another_architecture(self) -> None:
        other = build_model("quickstart-mv2", 3)
        before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
        with pytest.raises(SegkdError) as caught:
            load_into(other, model().state_dict())
        message = str(caught.value)
        assert "the checkpoint of another architecture" in message
        assert "missing (backbone.conv1.conv.weight, backbone.conv1.bn.weight, " in message
        assert "unknown to the network (backbone.stem.0.weight, " in message
        assert "\n" not in message
        assert equal(other.state_dict(), before)

    def test_nothing_in_common_is_refused_even_when_lenient(self) -> None:
        with pytest.raises(SegkdError, match=r"none of the file's 1 tensors \(x\.weight\) belongs to this network"):
            load_into(model(), {"x.weight": torch.zeros(1)}, strict=False)

    def test_other_width(self) -> None:
        import dataclasses

        wide = dataclasses.replace(CONFIG, head_options={"channels": 16})
        with pytest.raises(SegkdError, match=r"of another shape \(decode_head\.\S+ \(8,.*\) for \(16,"):
            load_into(model(config=wide), model().state_dict())

    def test_lenient_loading_reports(self) -> None:
        source = model(0).state_dict()
        del source["decode_head.conv_seg.bias"]
        source["stranger"] = torch.zeros(1)
        source["backbone.stem.0.weight"] = torch.zeros(1)
        with pytest.raises(SegkdError, match=r"1 missing \(decode_head.conv_seg.bias\); 1 unknown to the network"):
            load_into(model(1), source)
        target = model(1)
        kept = target.backbone.stem[0].weight.detach().clone()
        report = load_into(target, source, strict=False)
        assert report.missing == ("decode_head.conv_seg.bias",)
        assert report.unexpected == ("stranger",)
        assert report.mismatched == ("backbone.stem.0.weight",)
        assert torch.equal(target.backbone.stem[0].weight, kept)
        assert torch.equal(target.backbone.layer1[0].conv1.weight, source["backbone.layer1.0.conv1.weight"])

    def test_other_classes_only_when_asked(self) -> None:
        source, target = model(0, classes=7).state_dict(), model(1, classes=3)
        with pytest.raises(SegkdError, match="the weights are for 7 classes, the network has 3"):
            load_into(target, source)
        fresh = target.decode_head.conv_seg.weight.detach().clone()
        report = load_into(target, source, other_classes=True)
        assert set(report.mismatched) == {
            f"{head}.conv_seg.{kind}" for head in ("decode_head", "auxiliary_head") for kind in ("weight", "bias")
        }
        assert torch.equal(target.decode_head.conv_seg.weight, fresh)
        assert torch.equal(target.backbone.stem[0].weight, source["backbone.stem.0.weight"])

    def test_backbone_alone(self) -> None:
        source = model(0).state_dict()
        target = model(1)
        load_backbone(target.backbone, source)
        assert equal(target.backbone.state_dict(), model(0).backbone.state_dict())
        classifier = {"fc.weight": torch.zeros(2), "fc.bias": torch.zeros(2)}
        report = load_backbone(model(1).backbone, {**model(0).backbone.state_dict(), **classifier})
        assert report.unexpected == ()
