from __future__ import annotations

from segkd_distill.models.catalogue.published import PUBLISHED
from segkd_distill.models.zoo import MODELS

# The table of the BPKD paper: FLOPs in G, parameters in M.
BPKD = {
    "pspnet-r101": (256.89, 68.07),
    "pspnet-r18": (54.53, 12.82),
    "hrnet-w48": (95.64, 65.95),
    "hrnet-w18s": (10.49, 3.97),
    "deeplabv3plus-r101": (255.67, 62.68),
    "deeplabv3plus-mv2": (69.60, 15.35),
    "isanet-r101": (228.21, 56.80),
    "isanet-r18": (54.33, 12.46),
}


def test_rows_of_bpkd() -> None:
    rows = {name: row for name, row in PUBLISHED.items() if row.source.startswith("BPKD")}
    assert {name: (row.flops_g, row.parameters_m) for name, row in rows.items()} == BPKD
    assert {(row.num_classes, row.imgsz) for row in rows.values()} == {(150, (512, 512))}


def test_rows_are_models() -> None:
    assert set(PUBLISHED) <= set(MODELS)
    assert all(row.source and row.num_classes and row.parameters_m for row in PUBLISHED.values())
