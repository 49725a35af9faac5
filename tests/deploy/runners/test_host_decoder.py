from __future__ import annotations

import cv2
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import LabelResize
from segkd_deploy.runners import host_decoder
from segkd_deploy.runners.host_decoder import HostDecoder
from tests.deploy.tails import tail_graph


def whole(size: tuple[int, int], align_corners: bool = False) -> LabelResize:
    return LabelResize(size, 0, 0, size, align_corners)


def line(scores: list[list[float]], width: int, align_corners: bool) -> list[int]:
    """Labels of a single row of logits, given per class."""
    logits = np.array(scores, np.float32)[None, :, None]
    labels = HostDecoder((1, logits.shape[3]), whole((1, width), align_corners)).decode(logits)
    return labels[0, 0].tolist()


def smooth(classes: int, grid: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(generator.standard_normal(grid), (0, 0), 3) for _ in range(classes)]
    return np.stack(fields)[None].astype(np.float32)


def noise(classes: int, grid: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((1, classes, *grid)).astype(np.float32)


def interpolated(logits: NDArray[np.float32], resize: LabelResize) -> NDArray[np.float64]:
    """Scores (N, K, height, width) in double precision, pixel by pixel from the definition."""
    found = logits.astype(np.float64)
    for axis, total, first, count in ((2, resize.interpolated[0], resize.top, resize.labels[0]),
                                      (3, resize.interpolated[1], resize.left, resize.labels[1])):  # fmt: skip
        length, lines = found.shape[axis], []
        for pixel in range(first, first + count):
            if resize.align_corners:
                place = pixel * (length - 1) / max(total - 1, 1)
            else:
                place = min(max((pixel + 0.5) * length / total - 0.5, 0), length - 1)
            low = int(place)
            high = min(low + 1, length - 1)
            lines.append(found.take(low, axis) * (1 - place + low) + found.take(high, axis) * (place - low))
        found = np.stack(lines, axis)
    return found


def check(logits: NDArray[np.float32], resize: LabelResize, threads: int = 1) -> None:
    """Every label's score is the best one, up to rounding; where it leads by more, the label is the argmax."""
    scores = interpolated(logits, resize)
    decoder = HostDecoder((logits.shape[2], logits.shape[3]), resize, threads)
    labels = decoder.decode(logits)
    decoder.close()
    top = np.sort(scores, axis=1)[:, -2:] if scores.shape[1] > 1 else np.concatenate([scores - 1, scores], axis=1)
    clear = top[:, 1] - top[:, 0] > 1e-5
    np.testing.assert_array_equal(labels[clear], scores.argmax(axis=1)[clear])
    chosen = np.take_along_axis(scores, labels[:, None].astype(int), axis=1)[:, 0]
    assert (top[:, 1] - chosen).max() < 1e-5


def test_half_pixel_by_hand() -> None:
    # Pixels lie at -0.25, 0.25, 0.75 and 1.25 of the logits; the first class has 1, 0.75, 0.25 and 0 there.
    assert line([[1, 0], [0, 1]], 4, align_corners=False) == [0, 0, 1, 1]
    assert line([[1, 0], [0, 3]], 4, align_corners=False) == [0, 0, 1, 1]  # 0.75 and 0.75 at the second: a tie
    assert line([[1, 0], [0, 3.1]], 4, align_corners=False) == [0, 1, 1, 1]


def test_align_corners_by_hand() -> None:
    # Pixels lie at 0, 0.25, 0.5, 0.75 and 1.
    assert line([[1, 0], [0, 1]], 5, align_corners=True) == [0, 0, 0, 1, 1]
    assert line([[0, 1], [1, 0]], 5, align_corners=True) == [1, 1, 0, 0, 0]


def test_a_class_that_wins_at_no_corner_may_win_inside() -> None:
    assert line([[1, 0], [0, 1], [0.6, 0.6]], 5, align_corners=True) == [0, 0, 2, 1, 1]
    assert line([[1, 0], [0, 1], [0.4, 0.4]], 5, align_corners=True) == [0, 0, 0, 1, 1]


def test_the_lowest_of_equals() -> None:
    assert not HostDecoder((3, 3), whole((12, 12))).decode(np.zeros((1, 5, 3, 3), np.float32)).any()
    # All three are 0.5 in the middle.
    assert line([[0.5, 0.5], [1, 0], [0, 1]], 5, align_corners=True) == [1, 1, 0, 2, 2]


@pytest.mark.parametrize("logits", [noise, smooth])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("classes", "grid", "size"),
    [(150, (12, 12), (96, 96)), (19, (16, 9), (123, 77)), (7, (20, 30), (11, 13)), (256, (5, 5), (20, 20))],
)
def test_is_the_argmax_of_the_interpolation(logits, align_corners: bool, classes: int, grid, size) -> None:
    check(logits(classes, grid), whole(size, align_corners))


@settings(max_examples=60, deadline=None)
@given(
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    size=st.tuples(st.integers(1, 25), st.integers(1, 25)),
    classes=st.integers(1, 9),
    align_corners=st.booleans(),
    window=st.tuples(*[st.floats(0, 1)] * 4),
    seed=st.integers(0, 10**6),
)
def test_any_grid_size_and_window(grid, size, classes, align_corners, window, seed) -> None:
    top, left = (int(part * (side - 1)) for part, side in zip(window, size, strict=False))
    labels = tuple(
        1 + int(part * (side - first - 1)) for part, side, first in zip(window[2:], size, (top, left), strict=True)
    )
    check(noise(classes, grid, seed), LabelResize(size, top, left, labels, align_corners))


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners"])
@pytest.mark.parametrize("window", [None, (3, 5, 100, 120)])
def test_is_what_onnxruntime_makes_of_it(mode: str, window) -> None:
    grid, size, classes = (14, 18), (112, 143), 40
    graph = tail_graph(grid, size, classes, coordinates=mode, window=window).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    top, left, *labels = window or (0, 0, *size)
    decoder = HostDecoder(grid, LabelResize(size, top, left, tuple(labels), mode == "align_corners"))
    for logits in (noise(classes, grid), smooth(classes, grid)):
        (expected,) = session.run(None, {"logits": logits})
        assert (decoder.decode(logits) == expected).mean() >= 1 - 1e-4  # ties within rounding


def test_many_passes_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, resize = noise(30, (17, 19)), whole((130, 150))
    expected = HostDecoder((17, 19), resize).decode(logits)
    monkeypatch.setattr(host_decoder, "PASS_VALUES", 500)
    monkeypatch.setattr(host_decoder, "BLOCK_VALUES", 3000)
    monkeypatch.setattr(host_decoder, "SHARED_VALUES", 1)
    for threads in (1, 3):
        decoder = HostDecoder((17, 19), resize, threads)
        np.testing.assert_array_equal(decoder.decode(logits), expected)
        decoder.close()
        np.testing.assert_array_equal(decoder.decode(logits), expected)
        decoder.close()


def test_logits_of_full_size() -> None:
    logits = noise(6, (9, 11))
    labels = HostDecoder((9, 11), whole((9, 11))).decode(logits)
    np.testing.assert_array_equal(labels, logits.argmax(axis=1))


def test_batch_and_out() -> None:
    logits = np.concatenate([noise(4, (5, 6), seed) for seed in range(3)])
    decoder, out = HostDecoder((5, 6), whole((20, 24))), np.full((3, 20, 24), 9, np.uint8)
    assert decoder.decode(logits, out) is out
    for index in range(3):
        np.testing.assert_array_equal(out[index], decoder.decode(logits[index : index + 1])[0])
    assert out.max() < 4


def test_logits_that_are_not_finite_give_some_class() -> None:
    logits = noise(5, (6, 6))
    logits[0, 2, 1, 1], logits[0, 3, 2, 2], logits[0, :, 4, 4] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        assert HostDecoder((6, 6), whole((24, 24))).decode(logits).max() < 5
        assert HostDecoder((6, 6), whole((24, 24))).decode(np.full_like(logits, np.nan)).max() < 5


def test_refuses_other_arrays() -> None:
    decoder, logits = HostDecoder((4, 5), whole((8, 10))), noise(3, (4, 5))
    for wrong, message in (
        (logits.astype(np.float64), "expected float32 .*, got float64"),
        (logits[:, :, :3], r"got float32 \(1, 3, 3, 5\)"),
        (logits[0], r"got float32 \(3, 4, 5\)"),
        (noise(257, (4, 5)), "1 to 256 classes, got 257"),
        (np.asfortranarray(logits), "C-contiguous"),
    ):
        with pytest.raises(SegkdError, match=f"logits: .*{message}"):
            decoder.decode(wrong)
    for out in (
        np.zeros((1, 8, 10), np.int64),
        np.zeros((1, 8, 9), np.uint8),
        np.zeros((1, 8, 20), np.uint8)[..., ::2],
    ):
        with pytest.raises(SegkdError, match=r"out: expected a C-contiguous uint8 \(1, 8, 10\)"):
            decoder.decode(logits, out)


def test_refuses_impossible_sizes() -> None:
    with pytest.raises(SegkdError, match="labels of at least one pixel inside"):
        LabelResize((8, 8), 2, 0, (7, 8), False)
    with pytest.raises(SegkdError, match="labels of at least one pixel inside"):
        LabelResize((8, 8), 0, -1, (4, 4), False)
    with pytest.raises(SegkdError, match="a grid of at least 1 x 1"):
        HostDecoder((0, 4), whole((8, 8)))
    with pytest.raises(SegkdError, match=r"at least one thread, got .* and 0"):
        HostDecoder((4, 4), whole((8, 8)), threads=0)
