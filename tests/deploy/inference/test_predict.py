"""Pictures, folders and videos to labels and overlays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from segkd.data.formats.opencv_log import silence
from segkd.errors import SegkdError
from segkd_deploy.inference.model import Model, load
from segkd_deploy.inference.predict import Options, overlay, predict
from tests.core.data.files import cut_short, save
from tests.deploy.artifacts import labels_of, make_frames
from tests.deploy.videos import make_uneven_mkv, make_video, read_video


@pytest.fixture(scope="module")
def model(pristine: Path) -> Model:
    return load(pristine, runtime="onnxruntime", say=lambda line: None)


@pytest.fixture(autouse=True)
def quiet() -> None:
    silence(cv2)


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_overlay_by_hand() -> None:
    image = np.array([[[100, 0, 255]]], np.uint8)
    colours = np.array([[[200, 255, 0]]], np.uint8)
    assert overlay(image, colours, 0.25).tolist() == [[[125, 64, 191]]]  # 63.75 and 191.25
    np.testing.assert_array_equal(overlay(image, colours, 0), image)
    np.testing.assert_array_equal(overlay(image, colours, 1), colours)


def test_one_picture(model: Model, tmp_path: Path) -> None:
    frame = make_frames(1, seed=2)[0]
    result = predict(model, save(tmp_path / "street.png", frame), tmp_path / "out", Options(alpha=1.0))
    assert files(tmp_path / "out") == ["labels/street.png", "overlay/street.jpg"]
    with Image.open(tmp_path / "out" / "labels" / "street.png") as picture:
        assert picture.mode == "L"
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "labels" / "street.png"), labels_of(frame))
    # At alpha 1 the overlay is the class colours, up to what JPEG loses.
    expected = model.colour(labels_of(frame)).astype(int)
    drawn = pixels(tmp_path / "out" / "overlay" / "street.jpg").astype(int)
    assert np.abs(drawn[2:6, 2:6] - expected[2:6, 2:6]).max() < 40
    assert (result["kind"], result["frames"], result["resized"], result["skipped"]) == ("image", 1, 0, [])
    assert set(result["ms"]) == {"read", "pre", "infer", "post", "write"}
    assert result["written"] == [str(tmp_path / "out" / name) for name in ("labels/street.png", "overlay/street.jpg")]
    assert result["runtime"]["provider"] == "CPUExecutionProvider"


def test_fps_are_frames_over_the_time_of_their_stages(model: Model, tmp_path: Path) -> None:
    for index, frame in enumerate(make_frames(3)):
        save(tmp_path / "in" / f"{index}.png", frame)
    result = predict(model, tmp_path / "in", tmp_path / "out")
    ms, fps = result["ms"], result["fps"]
    assert fps["infer"] == pytest.approx(1e3 / ms["infer"])
    assert fps["labels"] == pytest.approx(1e3 / (ms["pre"] + ms["infer"] + ms["post"]))
    assert fps["all"] == pytest.approx(3 / result["seconds"])
    assert sum(ms.values()) * 3 / 1e3 <= result["seconds"]


def test_a_folder_keeps_its_tree(model: Model, tmp_path: Path) -> None:
    frames = make_frames(2, seed=3)
    save(tmp_path / "in" / "a.png", frames[0])
    large = frames[1].repeat(2, axis=0).repeat(2, axis=1)
    save(tmp_path / "in" / "deep" / "b.bmp", large)
    seen: list[tuple[int, int | None]] = []
    result = predict(
        model,
        tmp_path / "in",
        tmp_path / "out",
        Options(labels_only=True),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert files(tmp_path / "out") == ["labels/a.png", "labels/deep/b.png"]
    assert pixels(tmp_path / "out" / "labels" / "deep" / "b.png").shape == large.shape[:2]
    assert (result["kind"], result["frames"], result["resized"]) == ("folder", 2, 1)
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(("tag", "turn"), [(3, 2), (6, 1), (8, 3)])
def test_pictures_that_are_stored_turned_are_labelled_upright(
    model: Model, tmp_path: Path, tag: int, turn: int
) -> None:
    frame = make_frames(1, seed=6)[0]
    exif = Image.Exif()
    exif[274] = tag
    Image.fromarray(np.rot90(frame, turn)).save(tmp_path / "phone.png", exif=exif)
    predict(model, tmp_path / "phone.png", tmp_path / "out")
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "labels" / "phone.png"), labels_of(frame))
    with Image.open(tmp_path / "out" / "overlay" / "phone.jpg") as drawn:
        assert drawn.size == (24, 16) and not drawn.getexif()


def test_damaged_pictures_stop_or_are_counted(model: Model, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / "in" / f"{name}.png", make_frames(1)[0])
    cut_short(tmp_path / "in" / "b.png")
    with pytest.raises(SegkdError, match=r"b\.png: .*; remove it, or go on without it with --skip-damaged"):
        predict(model, tmp_path / "in", tmp_path / "out")
    result = predict(model, tmp_path / "in", tmp_path / "out", Options(skip_damaged=True))
    assert result["frames"] == 2
    assert [Path(entry["path"]).name for entry in result["skipped"]] == ["b.png"]
    with pytest.raises(SegkdError, match="nothing could be decoded; 1 damaged"):
        predict(model, tmp_path / "in" / "b.png", tmp_path / "out", Options(skip_damaged=True))


def test_a_video_becomes_an_overlay(model: Model, tmp_path: Path) -> None:
    frames = make_frames(6, seed=4)
    result = predict(model, make_video(tmp_path / "drive.mkv", frames), tmp_path / "out", Options(alpha=1.0))
    assert files(tmp_path / "out") == ["overlay/drive.mp4"]
    drawn = read_video(tmp_path / "out" / "overlay" / "drive.mp4")
    assert drawn.shape == frames.shape
    expected = model.colour(labels_of(frames)).astype(int)
    assert np.abs(drawn[:, 2:6, 2:6].astype(int) - expected[:, 2:6, 2:6]).mean() < 30
    assert (result["kind"], result["frames"], result["notes"]) == ("video", 6, [])


def test_a_video_of_a_varying_rate_keeps_its_length(model: Model, tmp_path: Path) -> None:
    video = make_uneven_mkv(tmp_path / "screen.mkv", [0, 100, 200, 1000, 2000], 10)
    result = predict(model, video, tmp_path / "out", Options(codec="mpeg4"))
    assert (result["frames"], result["written"]) == (5, [str(tmp_path / "out" / "overlay" / "screen.mp4")])
    assert len(read_video(tmp_path / "out" / "overlay" / "screen.mp4")) == 21
    said = " ".join(result["notes"])
    assert "screen.mkv has 5 frames" in said and "16 were repeated" in said and "ffmpeg -i" in said


def test_labels_of_a_video(model: Model, tmp_path: Path) -> None:
    frames = make_frames(3, seed=5)
    video = make_video(tmp_path / "drive.mkv", frames)
    predict(model, video, tmp_path / "out", Options(labels_only=True))
    assert files(tmp_path / "out") == [f"labels/drive/00000{index}.png" for index in range(3)]
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(pixels(tmp_path / f"out/labels/drive/00000{index}.png"), labels_of(frame))


def test_damaged_videos_stop_or_end_early(model: Model, tmp_path: Path) -> None:
    cut = cut_short(make_video(tmp_path / "cut.avi", make_frames(40), codec="MJPG"))
    with pytest.raises(SegkdError, match=r"of 40 frames; it is damaged or cut short; .*--skip-damaged"):
        predict(model, cut, tmp_path / "out")
    assert not files(tmp_path / "out")
    result = predict(model, cut, tmp_path / "out", Options(skip_damaged=True))
    assert 0 < result["frames"] < 40 and len(result["skipped"]) == 1
    assert len(read_video(tmp_path / "out" / "overlay" / "cut.mp4")) == result["frames"]
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SegkdError, match="nothing could be decoded"):
        predict(model, tmp_path / "text.mp4", tmp_path / "out", Options(skip_damaged=True))


def test_sources_that_are_none(model: Model, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "videos").mkdir()
    make_video(tmp_path / "videos" / "v.mkv", make_frames(1))
    (tmp_path / "notes.txt").write_text("")
    for name in ("same/x.png", "same/x.bmp"):
        save(tmp_path / name, make_frames(1)[0])
    for source, message in (
        ("empty", r"empty: no pictures \(\.png"),
        ("videos", r"name one video, as .*v\.mkv"),
        ("notes.txt", r"expected a folder or a file of one of these: \.png"),
        ("same", "has the same name as"),
    ):
        with pytest.raises(SegkdError, match=message):
            predict(model, tmp_path / source, tmp_path / "out")
    with pytest.raises(SegkdError, match="lies inside"):
        predict(model, tmp_path / "same", tmp_path / "same" / "out")
    inside = save(tmp_path / "out" / "overlay" / "x.jpg", make_frames(1)[0])
    for source in (inside, inside.parent):
        with pytest.raises(SegkdError, match=r"lies in .*overlay, where this would be written; name another --out"):
            predict(model, source, tmp_path / "out")
    with pytest.raises(SegkdError, match="alpha: expected 0 to 1, got 2"):
        predict(model, tmp_path / "same" / "x.png", tmp_path / "out", Options(alpha=2))


def test_a_place_that_cannot_be_written(model: Model, tmp_path: Path) -> None:
    picture = save(tmp_path / "x.png", make_frames(1)[0])
    (tmp_path / "out").write_text("")
    with pytest.raises(SegkdError, match=r"labels/x\.png: cannot be written"):
        predict(model, picture, tmp_path / "out")
