from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from segkd.manifest import Box, Geometry
from segkd_deploy.artifact import open_artifact
from segkd_deploy.graph_spec import LabelResize
from segkd_deploy.parity.diagnosis.resampling import MODES, label_resize_of, resampling, resized_labels
from tests.deploy.parity.small import RIGHT, make_artifact

# Single precision places a pixel within 1e-5 pixels of 120; neighbours differ by some units.
PLACE = 1e-4
SIZES = [((5, 7), (20, 28)), ((6, 9), (13, 31)), ((9, 8), (4, 5)), ((120, 250), (64, 128))]


def resize_with_onnxruntime(image: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    coordinates, kernel = MODES[mode]
    options = {"mode": kernel.split("_")[0], "coordinate_transformation_mode": coordinates, "cubic_coeff_a": -0.75}
    if kernel.startswith("nearest"):
        usual = "floor" if coordinates == "asymmetric" else "round_prefer_ceil"
        options["nearest_mode"] = kernel.removeprefix("nearest").removeprefix("_") or usual
    sizes = numpy_helper.from_array(np.array([1, 1, *size], np.int64), "sizes")
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **options)
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None]) for name in "xy"]
    model = helper.make_model(
        helper.make_graph([node], "resize", info[:1], info[1:], [sizes]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": image[None, None]})[0][0, 0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_is_what_onnxruntime_does(mode: str, low: tuple[int, int], high: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(size=low).astype(np.float32)
    down, across = (resampling(i, o, *MODES[mode]) for i, o in zip(low, high, strict=True))
    np.testing.assert_allclose(down @ image @ across.T, resize_with_onnxruntime(image, high, mode), atol=PLACE)


@pytest.mark.parametrize("mode", MODES)
def test_weights_sum_to_one(mode: str) -> None:
    np.testing.assert_allclose(resampling(7, 30, *MODES[mode]).sum(axis=1), 1, atol=1e-12)


def test_labels_are_the_lowest_of_equals() -> None:
    resize = LabelResize((4, 4), 1, 0, (2, 4))
    logits = np.zeros((1, 3, 2, 2), np.float16)
    logits[:, 2, :, 1] = 1
    assert resized_labels(logits, resize, "nearest").tolist() == [[[0, 0, 2, 2], [0, 0, 2, 2]]]


def test_the_tail_of_a_camera_cuts_the_letterbox(tmp_path) -> None:
    manifest = open_artifact(make_artifact(tmp_path / "a", {"fp32": RIGHT})).manifest
    assert label_resize_of(manifest) == LabelResize((48, 64), 0, 0, (48, 64))
    box = Box(top_px=4, left_px=0, height_px=24, width_px=32)
    made = {"height_px": 32, "width_px": 32, "resize": "letterbox", "content": box}
    camera = manifest.model_copy(update={"geometry": Geometry(**made, labels="frame")})
    assert label_resize_of(camera) == LabelResize((64, 64), 8, 0, (48, 64))
    whole = manifest.model_copy(update={"geometry": Geometry(**made, labels="graph")})
    assert label_resize_of(whole) == LabelResize((32, 32), 0, 0, (32, 32))
