from __future__ import annotations

import re

import pytest

from segkd_distill.models.checkpoints.formats.flat_mobilenet import BLOCKS, flat_rules


@pytest.mark.parametrize(
    ("name", "old", "expected"),
    [
        ("features.0.0.weight", True, "backbone.conv1.conv.weight"),
        ("features.1.conv.0.weight", True, "backbone.layer1.0.conv.0.conv.weight"),
        ("features.1.conv.4.running_var", True, "backbone.layer1.0.conv.1.bn.running_var"),
        ("features.2.conv.3.weight", True, "backbone.layer2.0.conv.1.conv.weight"),
        ("features.17.conv.7.bias", True, "backbone.layer7.0.conv.2.bn.bias"),
        ("features.1.conv.0.1.weight", False, "backbone.layer1.0.conv.0.bn.weight"),
        ("features.1.conv.1.weight", False, "backbone.layer1.0.conv.1.conv.weight"),
        ("features.4.conv.1.0.weight", False, "backbone.layer3.0.conv.1.conv.weight"),
        ("features.6.conv.3.weight", False, "backbone.layer3.2.conv.2.bn.weight"),
    ],
)
def test_flat_numbers_become_stages_and_blocks(name: str, old: bool, expected: str) -> None:
    found = [re.sub(p, new, name) for p, new in flat_rules("", old=old) if re.fullmatch(p, name)]
    assert found == [expected]


def test_all_blocks_of_the_paper() -> None:
    assert sum(BLOCKS) == 17
