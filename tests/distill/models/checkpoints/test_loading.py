from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.models.checkpoints.formats.base import Normalisation
from segkd_distill.models.checkpoints.loading import load_backbone_weights, load_into, load_weights, set_normalisation
from segkd_distill.models.segmenter import IMAGENET_MEAN, IMAGENET_STD
from segkd_distill.models.zoo import build_model
from tests.distill.models.checkpoints.small import CONFIG, equal, model


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


def saved(tmp_path: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save({"state_dict": tensors}, tmp_path / "w.pth")
    return tmp_path / "w.pth"


class TestLoadWeights:
    def test_report_on_stderr(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target, source = model(1), model(0).state_dict()
        report = load_weights(target, saved(tmp_path, source))
        assert report.format == "open-mmlab" and report.normalisation is None
        assert equal(target.state_dict(), source)
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err == f"{tmp_path / 'w.pth'}: {len(source)} tensors loaded (open-mmlab)\n"

    def test_a_file_without_an_auxiliary_head(self, tmp_path: Path) -> None:
        source = {n: t for n, t in model(0).state_dict().items() if not n.startswith("auxiliary_head.")}
        target = model(1)
        kept = {n: t.clone() for n, t in target.state_dict().items() if n.startswith("auxiliary_head.")}
        report = load_weights(target, saved(tmp_path, source))
        assert set(report.matched) == set(source) and report.missing == ()
        assert report.notes == ("the file has no auxiliary head: it keeps its initial values",)
        assert equal({n: t for n, t in target.state_dict().items() if n in kept}, kept)
        del source["decode_head.conv_seg.bias"]
        with pytest.raises(SegkdError, match=r"1 missing \(decode_head.conv_seg.bias\)"):
            load_weights(model(1), saved(tmp_path, source))

    def test_other_classes_only_with_the_flag(self, tmp_path: Path) -> None:
        path = saved(tmp_path, model(0, classes=7).state_dict())
        with pytest.raises(SegkdError, match=r"w\.pth \(open-mmlab\): the weights are for 7 classes, the network"):
            load_weights(model(1), path)
        report = load_weights(model(1), path, other_classes=True)
        assert len(report.mismatched) == 4 and "the classifiers are for other classes" in report.summary()

    def test_the_right_model_is_named(self, tmp_path: Path) -> None:
        path = saved(tmp_path, build_model("pspnet-mv2", 3).state_dict())
        with pytest.raises(SegkdError, match=r"choose the model that it was trained as \(it fits pspnet-mv2\)"):
            load_weights(build_model("pspnet-r18", 3), path)

    def test_a_backbone_alone_is_no_network(self, tmp_path: Path) -> None:
        path = saved(tmp_path, dict(model(0).backbone.state_dict()))
        with pytest.raises(SegkdError, match=r"holds a backbone alone .*: give it as --backbone-weights"):
            load_weights(model(1), path)


class TestLoadBackboneWeights:
    def test_alone_and_out_of_a_network(self, tmp_path: Path) -> None:
        classifier = {"fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}
        for source in ({**model(0).backbone.state_dict(), **classifier}, model(0).state_dict()):
            target = model(1)
            report = load_backbone_weights(target, saved(tmp_path, source))
            assert equal(target.backbone.state_dict(), model(0).backbone.state_dict())
            assert len(report.matched) == len(target.backbone.state_dict()) and report.unexpected == ()
            assert equal(target.decode_head.state_dict(), model(1).decode_head.state_dict())

    def test_a_7x7_stem_leaves_a_deep_stem_alone_and_says_so(self, tmp_path: Path) -> None:
        """torchvision's ImageNet ResNets under open-mmlab's networks."""
        options = {**CONFIG.backbone_options, "deep_stem": False}
        plain = model(0, config=dataclasses.replace(CONFIG, backbone_options=options)).backbone.state_dict()
        target = model(1)
        stem = {n: t.clone() for n, t in target.backbone.state_dict().items() if n.startswith("stem.")}
        report = load_backbone_weights(target, saved(tmp_path, {**plain, "fc.weight": torch.zeros(2, 2)}))
        found = target.backbone.state_dict()
        assert report.format == "torchvision backbone"
        assert report.notes == ("the file's stem is another one: the stem keeps its initial values",)
        assert equal({n: found[n] for n in stem}, stem)
        stages = [n for n in found if n.startswith("layer")]
        assert set(report.matched) == set(stages) and all(torch.equal(found[n], plain[n]) for n in stages)

    def test_stages_of_another_width_do_not_fit(self, tmp_path: Path) -> None:
        wide = dataclasses.replace(CONFIG, backbone_options={**CONFIG.backbone_options, "base_width": 16})
        path = saved(tmp_path, dict(model(0, config=wide).backbone.state_dict()))
        with pytest.raises(SegkdError, match=r"of another shape \(layer1\.0\.conv1\.weight \(16, .*\) for \(8, "):
            load_backbone_weights(model(1), path)

    def test_no_backbone_in_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(SegkdError, match=r"\(unknown\) holds no backbone: encoder\.weight; `segkd model inspect`"):
            load_backbone_weights(model(1), saved(tmp_path, {"encoder.weight": torch.zeros(1)}))


def test_normalisation_changes_only_where_it_is_another() -> None:
    network = model(0)
    assert set_normalisation(network, None) is None
    own = Normalisation(IMAGENET_MEAN, IMAGENET_STD)
    assert set_normalisation(network, own) is None
    other = Normalisation((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert set_normalisation(network, other) == other
    assert network.mean.flatten().tolist() == [1, 2, 3] and network.std.flatten().tolist() == [4, 5, 6]


@pytest.mark.parametrize("strict", [True, False])
def test_whole_numbers_are_no_weights(strict: bool) -> None:
    model = torch.nn.Conv2d(3, 2, 1)
    tensors = {name: tensor.to(torch.int32) for name, tensor in model.state_dict().items()}
    with pytest.raises(SegkdError, match=r"no floating-point numbers \(weight: torch\.int32\)"):
        load_into(model, tensors, strict=strict)
    assert load_into(model, {name: tensor.half() for name, tensor in model.state_dict().items()}).matched
