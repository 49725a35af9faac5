"""MobileNetV2 as torchvision and its copies name it: one flat list ``features.N`` of blocks."""

from __future__ import annotations

# Blocks per stage (the n of the paper's table); ``features.0`` is the first convolution, ``features.18`` the last.
BLOCKS = (1, 2, 3, 4, 3, 3, 1)
# Index inside a block -> (its convolution here, conv or bn), for blocks without and with expansion.
OLD_FIRST = {"0": "0.conv", "1": "0.bn", "3": "1.conv", "4": "1.bn"}
OLD = {"0": "0.conv", "1": "0.bn", "3": "1.conv", "4": "1.bn", "6": "2.conv", "7": "2.bn"}
NEW_FIRST = {"0.0": "0.conv", "0.1": "0.bn", "1": "1.conv", "2": "1.bn"}
NEW = {"0.0": "0.conv", "0.1": "0.bn", "1.0": "1.conv", "1.1": "1.bn", "2": "2.conv", "3": "2.bn"}


def flat_rules(prefix: str, *, old: bool) -> list[tuple[str, str]]:
    """Rules from ``<prefix>features.N...`` to ``backbone.layerS.B.conv.K...``.

    Args:
        prefix: what stands before ``features``, as a pattern.
        old: the layout before torchvision 0.5, in which a block is one flat list as well (CIRKD and AttnFD keep it).
    """
    rules = [
        (rf"{prefix}features\.0\.0\.(.+)", r"backbone.conv1.conv.\1"),
        (rf"{prefix}features\.0\.1\.(.+)", r"backbone.conv1.bn.\1"),
    ]
    flat = 1
    for stage, count in enumerate(BLOCKS, start=1):
        for block in range(count):
            parts = (OLD_FIRST if flat == 1 else OLD) if old else (NEW_FIRST if flat == 1 else NEW)
            for theirs, ours in parts.items():
                pattern = rf"{prefix}features\.{flat}\.conv\.{theirs.replace('.', chr(92) + '.')}\.([a-z_]+)"
                rules.append((pattern, rf"backbone.layer{stage}.{block}.conv.{ours}.\1"))
            flat += 1
    return rules
