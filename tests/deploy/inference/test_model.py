"""``from segkd_deploy import load``: frames in, labels out, and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from segkd.errors import BackendMissing, GateFailed, SegkdError
from segkd_deploy import load
from segkd_deploy.artifact import open_artifact
from segkd_deploy.graph_spec import GraphSpec
from segkd_deploy.inference.model import Model
from segkd_deploy.runners import Runner
from segkd_deploy.tensorrt.engine_cache import FOLDER_VARIABLE
from tests.deploy.artifacts import (
    HEIGHT_PX,
    NAMES,
    WIDTH_PX,
    change_a_byte,
    labels_of,
    make_artifact,
    make_frames,
    save_manifest,
)
from tests.deploy.runners.test_tensorrt import install
from tests.deploy.variants import add_variant, edit_manifest, write_parity

ON_CPU = {"runtime": "onnxruntime", "provider": "cpu"}


def test_one_line(pristine: Path) -> None:
    frame = make_frames(1, seed=3)[0]
    labels = load(str(pristine))(frame)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, labels_of(frame))


def test_load_stays_the_function_after_its_module_is_imported() -> None:
    import segkd_deploy.inference.model

    assert segkd_deploy.load is segkd_deploy.inference.model.load
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        segkd_deploy.nothing  # noqa: B018


def test_it_works_without_torch_and_onnx(pristine: Path) -> None:
    code = f"""
import sys
for name in ("torch", "onnx", "onnxscript", "segkd_export", "segkd_distill"):
    sys.modules[name] = None
import numpy
from segkd_deploy import load
model = load({str(pristine)!r}, runtime="onnxruntime")
print(model(numpy.full(model.frame_shape, (9, 200, 7), numpy.uint8)).max())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@pytest.fixture
def model(pristine: Path) -> Model:
    return load(pristine, **ON_CPU, say=lambda line: None)


def test_every_call_gives_an_array_of_its_own(model: Model) -> None:
    first, second = make_frames(2, seed=4)
    before = model(first)
    kept = before.copy()
    model(second)
    np.testing.assert_array_equal(before, kept)


def test_strided_frames_are_taken(model: Model) -> None:
    wide = make_frames(1)[0].repeat(2, axis=1)
    np.testing.assert_array_equal(model(wide[:, ::2]), labels_of(wide[:, ::2]))


def test_names_colours_and_times(model: Model) -> None:
    assert model.names == tuple(NAMES)
    labels = np.array([[0, 1], [2, 9]], np.uint8)
    expected = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 0, 255)]]
    np.testing.assert_array_equal(model.colour(labels), np.array(expected, np.uint8))
    model(make_frames(1)[0])
    assert model.last_stages is not None and model.last_stages.infer_ms > 0
    assert (model.frame_shape, model.frame_px, model.labels_px) == (
        (HEIGHT_PX, WIDTH_PX, 3),
        (HEIGHT_PX, WIDTH_PX),
        (HEIGHT_PX, WIDTH_PX),
    )
    described = model.describe()
    assert (described["variant"], described["runtime"]["provider"]) == ("fp32", "CPUExecutionProvider")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32), "expected a uint8 array 16x24x3 .RGB., got float32"),
        (np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8), "expected RGB 16x24x3, got 16x24$"),
        (np.zeros((HEIGHT_PX, WIDTH_PX, 4), np.uint8), "expected RGB 16x24x3, got 16x24x4"),
        (np.zeros((32, 48, 3), np.uint8), "takes 16x24x3, got 32x48x3; .*--frame 32x48, or load with resize=True"),
        ([[0]], "got list"),
    ],
)
def test_other_frames_are_refused(model: Model, frame: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(SegkdError, match=message):
        model(frame)


def test_resize_gives_labels_of_the_frames_size(pristine: Path) -> None:
    model = load(pristine, **ON_CPU, resize=True, say=lambda line: None)
    small = make_frames(1, seed=5)[0]
    large = small.repeat(3, axis=0).repeat(3, axis=1)
    labels = model(large)
    assert labels.shape == (3 * HEIGHT_PX, 3 * WIDTH_PX)
    # The reference: OpenCV's own resizing around the graph, whose answer is known.
    fitted = cv2.resize(large, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(labels, labels_of(fitted).repeat(3, axis=0).repeat(3, axis=1))
    with pytest.raises(SegkdError, match="expected RGB 16x24x3, got 0x24x3"):
        model(np.zeros((0, WIDTH_PX, 3), np.uint8))


def test_colours_are_those_of_the_manifest(artifact: Path) -> None:
    """The graph computes the same: what it calls red is now the first channel of BGR."""
    graph = onnx.load(artifact / "model.fp32.onnx")
    onnx.helper.set_model_props(graph, {"color": "BGR"})
    onnx.save(graph, artifact / "model.fp32.onnx")
    save_manifest(artifact)
    edit_manifest(artifact, lambda manifest: manifest["input"].update(color="BGR"))
    model = load(artifact, **ON_CPU, say=lambda line: None)
    frame = make_frames(1, seed=6)[0]
    np.testing.assert_array_equal(model(frame), labels_of(frame))
    picture = np.ascontiguousarray(frame[..., ::-1])
    np.testing.assert_array_equal(model.label_image(picture), labels_of(frame))


def test_pictures_of_any_size(model: Model) -> None:
    picture = make_frames(1, seed=7)[0].repeat(2, axis=0).repeat(2, axis=1)
    assert model.label_image(picture).shape == picture.shape[:2]
    with pytest.raises(SegkdError, match="image: expected uint8 RGB"):
        model.label_image(picture[..., 0])


class Recorder(Runner):
    """Keeps the frame it was given; its labels are the numbers of their rows."""

    def __init__(self, spec: GraphSpec) -> None:
        super().__init__(Path("none"))
        self.spec = spec
        self.frame = np.zeros(0, np.uint8)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def infer(self, frames: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        self.frame = frames[0]
        shape = self.spec.labels_shape(1)
        return np.broadcast_to(np.arange(shape[1], dtype=np.uint8)[:, None], shape).copy()

    def describe(self) -> dict[str, str]:
        return {"name": "recorder", "version": "1", "provider": "none"}


def test_what_a_letterbox_added_is_cut_off(pristine: Path) -> None:
    """Frames 4 x 8 lie in rows 2 to 5 of labels 8 x 8."""
    spec = GraphSpec(1, 4, 8, 3, labels_px=(8, 8), content_px=(2, 0, 4, 8))
    artifact, frame = open_artifact(pristine), np.zeros((4, 8, 3), np.uint8)
    whole = Model(artifact, "fp32", Recorder(spec), resize=False)
    assert whole.labels_px == (8, 8) and whole(frame)[:, 0].tolist() == list(range(8))
    resizing = Model(artifact, "fp32", Recorder(spec), resize=True)
    assert resizing(frame)[:, 0].tolist() == [2, 3, 4, 5]
    assert resizing(np.zeros((8, 16, 3), np.uint8))[:, 0].tolist() == [2, 2, 3, 3, 4, 4, 5, 5]
    assert whole.label_image(np.zeros((2, 4, 3), np.uint8)).shape == (2, 4)


def test_nv12_frames_are_never_resized(pristine: Path) -> None:
    runner = Recorder(GraphSpec(1, 4, 8, 3, color="NV12", yuv="bt709"))
    model = Model(open_artifact(pristine), "fp32", runner, resize=True)
    frame = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert model.frame_shape == (6, 8) and model(frame).shape == (4, 8)
    np.testing.assert_array_equal(runner.frame, frame)
    with pytest.raises(SegkdError, match=r"the graph takes NV12 6x8 \(1\.5 \* height x width\) alone, got 12x8"):
        model(np.zeros((12, 8), np.uint8))
    # A picture becomes one: black is luma 16, chroma 128.
    assert model.label_image(np.zeros((8, 16, 3), np.uint8)).shape == (8, 16)
    assert runner.frame[:4].tolist() == [[16] * 8] * 4 and runner.frame[4:].tolist() == [[128] * 8] * 2


def test_any_batch_of_the_graph(tmp_path: Path) -> None:
    frame = make_frames(1, seed=8)[0]
    for name, batch in (("free", None), ("two", 2)):
        with load(make_artifact(tmp_path / name, batch=batch), **ON_CPU, say=lambda line: None) as model:
            np.testing.assert_array_equal(model(frame), labels_of(frame))


def test_threads_take_turns(model: Model) -> None:
    frames = make_frames(24, seed=9)
    results: dict[int, bool] = {}

    def work(start: int) -> None:
        for index in range(start, len(frames), 4):
            results[index] = bool((model(frames[index]) == labels_of(frames[index])).all())

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(24), True)


def test_closed_is_closed(pristine: Path) -> None:
    with load(pristine, **ON_CPU, say=lambda line: None) as model:
        model(make_frames(1)[0])
    model.close()
    for use in (lambda: model(make_frames(1)[0]), model.describe, model.__enter__):
        with pytest.raises(SegkdError, match="the model is closed; load it again"):
            use()


# --- What is taken. ---


def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)


def test_it_says_what_it_took_and_why(
    pristine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_gpu(monkeypatch)
    load(pristine).close()
    said = capsys.readouterr().err
    assert said.startswith("segkd: artifact: variant fp32 on onnxruntime ")
    assert "CPUExecutionProvider (not here: tensorrt on cuda:0, tensorrt_rtx on cuda:0, onnxruntime on cuda)" in said
    assert len(said) < 200
    load(pristine, **ON_CPU, variant="fp32").close()
    assert capsys.readouterr() == ("", "")


def test_tensorrt_is_taken_where_it_is(artifact: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "engines"))
    gpu = install(monkeypatch, "10.3")
    add_variant(artifact, "fp16", "fp16")
    write_parity(artifact, fp16=True)
    lines: list[str] = []
    with load(artifact, say=lines.append) as model:
        frame = make_frames(1, seed=10)[0]
        np.testing.assert_array_equal(model(frame), labels_of(frame))
        assert model.describe()["runtime"]["name"] == "tensorrt"
        assert gpu.kept() > 0
    assert gpu.kept() == 0
    assert lines[-1].startswith("artifact: variant fp16 on tensorrt 10.3") and len(lines) > 1


def test_what_was_named_is_not_replaced(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch)
    with pytest.raises(BackendMissing, match="tensorrt is not installed"):
        load(pristine, runtime="tensorrt")
    with pytest.raises(BackendMissing, match="CUDAExecutionProvider"):
        load(pristine, runtime="onnxruntime", provider="cuda")


def test_no_runtime_at_all(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendMissing, match=r"no runtime works here: tensorrt on cuda:0: not installed; .*cpu: not"):
        load(pristine)


def test_a_broken_graph_is_no_reason_to_try_another_runtime(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch)
    change_a_byte(artifact / "model.fp32.onnx")
    with pytest.raises(GateFailed, match=r"model\.fp32\.onnx has changed"):
        load(artifact)


def test_contradictions(pristine: Path) -> None:
    with pytest.raises(SegkdError, match="variant and precision exclude each other"):
        load(pristine, variant="fp32", precision="fp32")
    with pytest.raises(SegkdError, match="provider, cuda_graph: for one runtime; name it with runtime="):
        load(pristine, provider="cpu", cuda_graph=True)
    with pytest.raises(SegkdError, match="unknown runtime 'tensorflow'"):
        load(pristine, runtime="tensorflow")


def test_loading_in_several_threads(pristine: Path) -> None:
    frames = make_frames(4, seed=9)
    labels: dict[int, Any] = {}

    def work(index: int) -> None:
        with load(pristine, runtime="onnxruntime", say=lambda line: None) as model:
            labels[index] = model(frames[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.stack([labels[index] for index in range(4)]), labels_of(frames))


def test_a_forked_process_is_told_to_load_its_own(pristine: Path) -> None:
    """Before it waits for threads that are not there; closing and ending the child do not hang either."""
    code = (
        "import os, sys\nimport numpy as np\nfrom segkd_deploy import load\n"
        "model = load(sys.argv[1], runtime='onnxruntime', threads=2, say=lambda line: None)\n"
        "frame = np.zeros(model.frame_shape, np.uint8)\npid = os.fork()\nif not pid:\n    try:\n        model(frame)\n"
        "    except Exception as error:\n        print(error, flush=True)\n    model.close()\n    os._exit(0)\n"
        "os.waitpid(pid, 0)\nprint(model(frame).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(pristine)], capture_output=True, text=True, check=True, timeout=60
    )
    told, shape = done.stdout.splitlines()
    assert told.startswith("the model was loaded before this process was forked") and shape == "(16, 24)"
