"""Video files in and out: whole ones, damaged ones, and ones that were not written to the end."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segkd.data.formats.decode import DamagedFileError
from segkd.data.formats.opencv_log import silence
from segkd.errors import SegkdError
from segkd_deploy.inference import video
from segkd_deploy.inference.video import VideoReader, VideoWriter
from tests.core.data.files import cut_short
from tests.deploy.artifacts import make_frames
from tests.deploy.videos import make_uneven_mkv, make_video, read_video


@pytest.fixture(autouse=True)
def quiet() -> None:
    """OpenCV's own lines about damaged files are not what is tested."""
    silence(cv2)


def test_frames_are_rgb_in_their_order(tmp_path: Path) -> None:
    frames = make_frames(5)
    with VideoReader(make_video(tmp_path / "v.mkv", frames)) as reader:
        assert (reader.fps, reader.count) == (10.0, 5)
        np.testing.assert_array_equal(np.stack(list(reader.frames())), frames)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for path, message in (("text.mp4", "text.mp4: not a video that can be decoded"), ("gone.mp4", "no such file")):
        with pytest.raises(DamagedFileError, match=message):
            VideoReader(tmp_path / path)


def test_a_video_that_is_cut_short(tmp_path: Path) -> None:
    """The header of an AVI file says how many frames there were."""
    path = cut_short(make_video(tmp_path / "cut.avi", make_frames(40), codec="MJPG"))
    with VideoReader(path) as reader:
        assert reader.count == 40
        frames = reader.frames()
        with pytest.raises(DamagedFileError, match=r"cut\.avi: ends after \d+ of 40 frames; it is damaged"):
            list(frames)


def test_a_number_of_frames_that_is_a_guess_is_no_damage(tmp_path: Path) -> None:
    path = make_uneven_mkv(tmp_path / "screen.mkv", [*range(0, 330, 33), *range(1000, 3000, 200)], 30)
    with VideoReader(path) as reader:
        assert reader.count is not None and reader.count > 80 and not reader.recorded
        times_s = [reader.time_s for _ in reader.frames()]
        assert len(times_s) == 20 and times_s[-1] == pytest.approx(2.8)
        assert "screen.mkv has 20 frames; its duration and nominal rate would give" in str(reader.note)


def test_codecs_that_browsers_play_come_first(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "v.mp4", 10, (16, 24)) as writer:
        writer.write(make_frames(1)[0], 3)
    assert writer.codec in ("h264", "vp9") and len(read_video(tmp_path / "v.mp4")) == 3
    with VideoWriter(tmp_path / "v.mp4", 10, (16, 24), "mpeg4") as writer:
        writer.write(make_frames(1)[0])
    capture = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") == b"FMP4"
    with pytest.raises(SegkdError, match=r"unknown codec 'vp8'; did you mean 'vp9'\?"):
        VideoWriter(tmp_path / "v.mp4", 10, (16, 24), "vp8")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    frames = make_frames(4)
    with VideoWriter(tmp_path / "a" / "v.mp4", 12.5, (16, 24)) as writer:
        for frame in frames:
            writer.write(frame)
        assert not (tmp_path / "a" / "v.mp4").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["v.mp4"]
    with VideoReader(tmp_path / "a" / "v.mp4") as reader:
        assert (reader.fps, reader.count) == (12.5, 4)
    # MPEG-4 loses detail, but never mistakes red for blue.
    written = read_video(tmp_path / "a" / "v.mp4")
    assert np.abs(written.astype(int).mean((0, 1, 2)) - frames.astype(int).mean((0, 1, 2))).max() < 12


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "v.mp4", 10, (16, 24)) as writer:
        writer.write(make_frames(1)[0])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_size_are_not_dropped_silently(tmp_path: Path) -> None:
    error = pytest.raises(SegkdError, match=r"frame 1 is \(8, 24\), those before \(16, 24\)")
    with error, VideoWriter(tmp_path / "v.mp4", 10, (16, 24)) as writer:
        writer.write(make_frames(1)[0])
        writer.write(make_frames(1)[0][:8])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_frame_count", lambda path: 1)
    error = pytest.raises(SegkdError, match=r"v\.mp4: 1 of 2 frames were written; is the disk full\?")
    with error, VideoWriter(tmp_path / "v.mp4", 10, (16, 24)) as writer:
        writer.write(make_frames(1)[0])
        writer.write(make_frames(1)[0])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SegkdError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "v.mp4", 10, (16, 24))
