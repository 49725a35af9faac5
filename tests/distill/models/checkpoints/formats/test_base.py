from __future__ import annotations

import torch

from segkd_distill.models.checkpoints.formats import FORMATS, detect
from segkd_distill.models.checkpoints.formats.base import Rules, has


def test_the_first_rule_that_fits_the_whole_name_counts() -> None:
    rules = Rules([(r"a\.(\d)\.(.+)", r"x.\1.\2"), (r"a\..+", "never")], (r"fc\..+",))
    kept, dropped = rules.apply(["a.1.weight", "b.a.1.weight", "fc.bias"])
    assert kept == {"a.1.weight": "x.1.weight", "b.a.1.weight": "b.a.1.weight"}
    assert dropped == ("fc.bias",)


def test_has_wants_every_pattern_at_the_beginning_of_a_name() -> None:
    tensors = {"head.weight": torch.zeros(1), "stem.bias": torch.zeros(1)}
    assert has(tensors, "head", "stem") and not has(tensors, "head", "tail") and not has(tensors, "weight")


def test_names_of_no_format() -> None:
    assert detect({"encoder.0.weight": torch.zeros(1)}) is None
    assert detect({}) is None


def test_formats_have_names_of_their_own() -> None:
    names = [format_.name for format_ in FORMATS]
    assert {name for name in names if names.count(name) > 1} == {
        "timm backbone",
        "torchvision backbone",
        "torchvision",
    }
