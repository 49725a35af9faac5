from __future__ import annotations

from pathlib import Path

from segkd_deploy.artifact import open_artifact
from segkd_deploy.release.bundle import prepare_release
from segkd_deploy.release.card import write_card


def test_card_says_what_it_is_and_what_was_measured_where(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text("miou_floor: 0.5\n")
    release = prepare_release(measured, tmp_path / "gates.yaml", "street", "1.0")
    card = write_card(open_artifact(measured), release.evidence, release.record)
    parity, bench = release.evidence.parity, release.evidence.benches["fp32"]
    assert card.startswith("# street 1.0\n")
    for fact in (
        "3 classes: red, green, blue",
        "network: channels",
        "fingerprint `abc`",
        "uint8 NHWC (1, 16, 24, 3), RGB, 0..255",
        f"mIoU {parity['variants']['fp32']['miou']['graph']:.6g} on 3 reference frames",
        "1.000000 of the pixels",
        f"p99 {bench['latency_ms']['p99']:.2f} ms",
        f"measured {bench['created']} on {bench['device']['model']}",
        f"compared {parity['created']}",
        "| fp32 | miou_floor | 0.5 |",
        "| fp32 | `model.fp32.onnx` | fp32 | 18 |",
        "## Limits",
    ):
        assert fact in card, fact


def test_card_names_the_whole_set_if_it_was_scored(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text("miou_floor: 0.5\n")
    release = prepare_release(measured, tmp_path / "gates.yaml")
    whole = {"miou": 0.625, "images": 500, "data": "cityscapes:data"}
    release.evidence.parity["variants"]["fp32"]["whole_set"] = whole
    card = write_card(release.artifact, release.evidence, release.record)
    assert "mIoU 0.625 on 500 images of cityscapes:data" in card


def test_names_with_markup_stay_names(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text("miou_floor: 0.5\n")
    release = prepare_release(measured, tmp_path / "gates.yaml", "street", "1.0")
    names = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a\n# b"]
    release.artifact.manifest.label_space.names[:] = names
    release.evidence.benches["fp32"]["warnings"] = ["[click](http://x)\n\n# heading"]
    card = write_card(release.artifact, release.evidence, release.record)
    assert "<" not in card
    assert "](" not in card
    assert [line for line in card.splitlines() if line.startswith("# ")] == ["# street 1.0"]
