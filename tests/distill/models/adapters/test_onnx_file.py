from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.models.sources import open_foreign_teacher, open_model
from segkd_distill.models.teachers.teacher import load_teacher
from tests.distill.models.adapters.onnx_graphs import expected, write
from tests.distill.models.base import small_image
from tests.distill.models.teachers.test_teacher import labels

IMAGE = torch.cat([small_image(), small_image().flip(0)[:1]])  # three images
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def test_float_images_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, names = open_foreign_teacher(str(write(tmp_path / "a.onnx")), None, 3)
    assert names is None and network.num_classes == 3 and network.tap_info().channels == {}
    torch.testing.assert_close(network(IMAGE).logits, expected(IMAGE), **CLOSE)
    assert "a.onnx: runs on CPUExecutionProvider of onnxruntime" in capsys.readouterr().err
    with pytest.raises(SegkdError, match="logits alone"):
        network(IMAGE, frozenset({"c4"}))


def test_normalisation_and_names_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx")
    settings = {"mean": [10, 20, 30], "std": [1, 2, 4], "names": ["road", "sky", "car"], "align_corners": True}
    (tmp_path / "a.json").write_text(json.dumps(settings))
    network, names = open_foreign_teacher(str(path), None, 3)
    mean, std = torch.tensor([10.0, 20, 30]).view(1, 3, 1, 1), torch.tensor([1.0, 2, 4]).view(1, 3, 1, 1)
    torch.testing.assert_close(network(IMAGE).logits, expected((IMAGE - mean) / std), **CLOSE)
    assert names == ("road", "sky", "car") and network.align_corners
    teacher = load_teacher(path, None, labels("car", "sky", "road"))
    assert torch.equal(teacher(IMAGE).logits, network(IMAGE).logits.flip(1))


def test_frames_of_bytes_with_the_names_of_the_manifest(tmp_path: Path) -> None:
    path = write(tmp_path / "model.fp32.logits.onnx", "uint8")
    (tmp_path / "manifest.json").write_text('{"label_space": {"names": ["road", "sky", "car"]}}')
    network, names = open_foreign_teacher(str(path), None, 3)
    assert names == ("road", "sky", "car")
    torch.testing.assert_close(network(IMAGE).logits, expected(IMAGE), **CLOSE)
    # Distorted colours: rounded, and cut to 0..255.
    distorted = torch.tensor([-3.0, 0.6, 254.4, 300.0]).view(1, 1, 2, 2).repeat(1, 3, 4, 4)
    seen = torch.tensor([0.0, 1.0, 254.0, 255.0]).view(1, 1, 2, 2).repeat(1, 3, 4, 4)
    torch.testing.assert_close(network(distorted).logits, expected(seen), **CLOSE)


def test_half_precision_images(tmp_path: Path) -> None:
    network, _ = open_foreign_teacher(str(write(tmp_path / "a.onnx", "float16")), None, 3)
    logits = network(IMAGE).logits
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected(IMAGE), **CLOSE)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fixed_batch_is_run_several_times(tmp_path: Path, batch: int) -> None:
    network, _ = open_foreign_teacher(str(write(tmp_path / "a.onnx", shape=[batch, 3, "h", "w"])), None, 3)
    torch.testing.assert_close(network(IMAGE).logits, expected(IMAGE), **CLOSE)


def test_a_fixed_size_takes_no_other(tmp_path: Path) -> None:
    network, _ = open_foreign_teacher(str(write(tmp_path / "a.onnx", "uint8", [1, 45, 67, 3])), None, 3)
    torch.testing.assert_close(network(IMAGE).logits, expected(IMAGE), **CLOSE)
    with pytest.raises(SegkdError, match=r"takes images of 45x67 pixels, got 44x64; train on .* \(--imgsz 45x67\)"):
        network(IMAGE[:, :, :44, :64])


def test_classes_that_the_file_does_not_tell_are_found_by_running_it(tmp_path: Path) -> None:
    network, _ = open_foreign_teacher(str(write(tmp_path / "a.onnx", gives="any")), None, 7)
    assert network.num_classes == 3


@pytest.mark.parametrize(
    ("graph", "settings", "message"),
    [
        ({"gives": "labels"}, None, r"a teacher needs logits, float \(N, K, h, w\); .* model\.fp32\.logits\.onnx"),
        ({"shape": ["n", 4, "h", "w"]}, None, r"expected one input, uint8 \(N, H, W, 3\) or float"),
        ({"takes": "uint8"}, {"mean": [1, 2, 3]}, "takes uint8 frames and normalises them itself"),
        ({}, {"means": [1, 2, 3]}, "did you mean 'mean'"),
        ({}, {"mean": [1, 2]}, "mean must be three numbers"),
        ({}, {"std": [1, 0, 2]}, "std must not be 0"),
        ({}, {"names": ["road"]}, "has 3 classes, but 1 names beside it"),
        ({}, [1], "expected an object with the keys"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, graph: dict[str, Any], settings: Any, message: str) -> None:
    path = write(tmp_path / "a.onnx", **graph)
    if settings is not None:
        (tmp_path / "a.json").write_text(json.dumps(settings))
    with pytest.raises(SegkdError, match=message):
        open_foreign_teacher(str(path), None, 3)


def test_bad_places(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match=r"no ONNX file .*nowhere\.onnx"):
        open_foreign_teacher(str(tmp_path / "nowhere.onnx"), None, 3)
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(SegkdError, match="onnxruntime cannot open it") as caught:
        open_foreign_teacher(str(tmp_path / "text.onnx"), None, 3)
    assert "\n" not in str(caught.value)
    with pytest.raises(SegkdError, match=r"has its own weights; leave out w\.pth"):
        open_foreign_teacher(str(write(tmp_path / "a.onnx")), "w.pth", 3)
    with pytest.raises(SegkdError, match="can teach but not be trained here"):
        open_model(str(tmp_path / "a.onnx"), 3)
