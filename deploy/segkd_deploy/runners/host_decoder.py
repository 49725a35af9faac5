"""Low-resolution logits to labels of full size on the CPU, without the classes x height x width scores between them.

Bilinear interpolation is convex: inside a cell of four neighbouring logits, no class can pass one that is above it at
all four corners. So a cell whose corners agree on their best class has that class everywhere, and only the others, the
outlines of the segments, are interpolated, over those of their classes that can win there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkd.errors import SegkdError
from segkd_deploy.graph_spec import LABEL_VALUES, LabelResize

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

# Values of one pass: few enough for the cache, enough to make up for numpy's calls.
PASS_VALUES = 1 << 16
# Logits of the cells whose candidates are found together: bounds the memory.
BLOCK_VALUES = 1 << 20
# Interpolated values from which threads pay: below, waking them takes as long as the work.
SHARED_VALUES = 1 << 22


@dataclass(frozen=True)
class _Axis:
    """Cells along one axis: cell ``i`` lies between two neighbouring logits, or between an outermost one and the edge.

    Attributes:
        low: index of each cell's first logit.
        high: index of its second; the first one's beyond the outermost.
        start: its first pixel.
        cell: the cell of every pixel.
        pixels: (most pixels of a cell, cells), its pixels; the last is repeated.
        weights: (most pixels of a cell, cells) float32, of the second logit at these pixels.
    """

    low: Indices
    high: Indices
    start: Indices
    cell: Indices
    pixels: Indices
    weights: Floats


class HostDecoder:
    """Logits (N, K, h, w) to the labels that ``Resize`` and ``ArgMax`` give, the lowest of equals.

    Where two classes lie within the rounding of float32, either may win; nowhere else do labels differ.

    Args:
        grid: height and width of the logits.
        resize: what the graph does with them.
        threads: how many threads share a frame.

    Raises:
        SegkdError: for an empty grid or no threads.
    """

    def __init__(self, grid: tuple[int, int], resize: LabelResize, threads: int = 1) -> None:
        if min(grid) < 1 or threads < 1:
            raise SegkdError(f"expected a grid of at least 1 x 1 and at least one thread, got {grid} and {threads}")
        self.grid, self.resize, self.threads = grid, resize, threads
        self._rows = _axis(grid[0], resize.interpolated[0], resize.top, resize.labels[0], resize.align_corners)
        self._columns = _axis(grid[1], resize.interpolated[1], resize.left, resize.labels[1], resize.align_corners)
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Stop the threads; the next frame that needs them starts them again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def decode(self, logits: Floats, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Label frames.

        Args:
            logits: finite float32 (N, K, h, w), C-contiguous, K at most 256.
            out: uint8 (N, height, width), C-contiguous, to write into, else a new array is returned.

        Returns:
            uint8 (N, height, width) class indices.

        Raises:
            SegkdError: for arrays of another dtype, shape or memory order.
        """
        self._check(logits)
        shape = (len(logits), *self.resize.labels)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.dtype != np.uint8 or out.shape != shape or not (out.flags.c_contiguous and out.flags.writeable):
            raise SegkdError(f"out: expected a C-contiguous uint8 {shape} to write into, got {out.dtype} {out.shape}")
        for image, labels in zip(logits, out, strict=True):
            self._decode_one(image, labels)
        return out

    def _check(self, logits: Floats) -> None:
        if logits.dtype != np.float32 or logits.ndim != 4 or logits.shape[2:] != self.grid:
            raise SegkdError(f"logits: expected float32 (N, K, {self.grid}), got {logits.dtype} {logits.shape}")
        if not 1 <= logits.shape[1] <= LABEL_VALUES:
            raise SegkdError(f"logits: expected 1 to {LABEL_VALUES} classes, got {logits.shape[1]}")
        if not logits.flags.c_contiguous:
            raise SegkdError("logits: expected a C-contiguous array; use numpy.ascontiguousarray")

    def _decode_one(self, logits: Floats, labels: NDArray[np.uint8]) -> None:
        import cv2

        rows, columns, classes = self._rows, self._columns, len(logits)
        # A logit's classes side by side: what a cell needs is then four runs of memory.
        values = cv2.transpose(logits.reshape(classes, -1)).reshape(-1, classes)
        best = values.argmax(axis=1).astype(np.uint8)
        low, high = best.reshape(self.grid)[rows.low], best.reshape(self.grid)[rows.high]
        corner = low[:, columns.low]
        corner.take(columns.cell, axis=1).take(rows.cell, axis=0, out=labels)
        if not (rows.weights.any() or columns.weights.any()):
            return  # every pixel lies on a logit
        mixed = (corner != low[:, columns.high]) | (corner != high[:, columns.low]) | (corner != high[:, columns.high])
        row, column = np.nonzero(mixed)
        step = max(1, BLOCK_VALUES // classes)
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            self._decode_cells(values, best, labels, row[part], column[part])

    def _decode_cells(
        self, values: Floats, best: NDArray[np.uint8], labels: NDArray[np.uint8], row: Indices, column: Indices
    ) -> None:
        """Interpolate in some cells, those with the most candidates first, so that a pass has cells of a kind."""
        rows, columns = self._rows, self._columns
        ends = [(y, x) for y in (rows.low[row], rows.high[row]) for x in (columns.low[column], columns.high[column])]
        logit = np.stack([y * self.grid[1] + x for y, x in ends])
        candidates = _candidates(values, best, logit)
        count = np.count_nonzero(candidates, axis=1)
        order = np.argsort(-count, kind="stable")
        area = len(rows.pixels) * len(columns.pixels)
        step = max(1, PASS_VALUES // area)

        def one_pass(start: int) -> None:
            part = order[start : start + step]
            down, right = rows.weights.take(row[part], axis=1), columns.weights.take(column[part], axis=1)
            won = _winners(values, logit[:, part], candidates[part], count[part], down, right)
            pixel_row, pixel_column = rows.pixels.take(row[part], axis=1), columns.pixels.take(column[part], axis=1)
            labels.reshape(-1)[pixel_row[:, None] * labels.shape[1] + pixel_column] = won

        starts = range(0, len(order), step)
        if self.threads == 1 or area * int(count.sum()) < SHARED_VALUES:
            for start in starts:
                one_pass(start)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="decoder")
        list(self._pool.map(one_pass, starts))


def _candidates(values: Floats, best: NDArray[np.uint8], logit: Indices) -> NDArray[np.bool_]:
    """The classes that can win somewhere in a cell, (cells, K).

    A class that lies below a mean of others at all four corners lies below it everywhere inside, and so below one of
    them: the mean of the corners' own best classes is taken.

    Args:
        values: (h * w, K).
        best: (h * w,) their best classes.
        logit: (4, cells) rows of ``values``, the cells' corners.
    """
    winners = best[logit].astype(np.intp).T
    possible = np.zeros((logit.shape[1], values.shape[1]), np.bool_)
    np.put_along_axis(possible, winners, True, axis=1)
    for corner in logit:
        here = values[corner]
        mean = np.take_along_axis(here, winners, axis=1).mean(axis=1, keepdims=True)
        # Rounding must not lose a class that equals the mean.
        possible |= here >= mean - np.abs(mean) * 1e-6
    return possible


def _winners(
    values: Floats,
    logit: Indices,
    candidates: NDArray[np.bool_],
    count: Indices,
    down: Floats,
    right: Floats,
) -> NDArray[np.uint8]:
    """The best class at the pixels of M cells, (P, Q, M).

    Args:
        values: (h * w, K).
        logit: (4, M) rows of ``values``, the cells' corners.
        candidates: (M, K).
        count: (M,) candidates of each cell, in descending order.
        down: (P, M) weights of the lower corners.
        right: (Q, M) weights of the right ones.
    """
    classes = values.shape[1]
    name = (np.flatnonzero(candidates) % classes).astype(np.uint8)
    begin, flat, offset = np.cumsum(count) - count, values.reshape(-1), logit * classes
    top = np.empty((len(down), len(right), len(count)), np.float32)
    here, above = np.empty_like(top), np.empty(top.shape, np.bool_)
    rank, marked = np.zeros(top.shape, np.uint8), np.empty(top.shape, np.uint8)
    for number in range(int(count[0])):
        # A cell that has no more candidates meets its last one again, which changes nothing.
        tried = name[begin + np.minimum(number, count - 1)]
        corners = flat.take(offset + tried, mode="clip")
        if number == 0:
            _interpolate(corners, down, right, top)
            continue
        _interpolate(corners, down, right, here)
        np.greater(here, top, out=above)
        np.maximum(here, top, out=top)
        np.multiply(above.view(np.uint8), np.uint8(number), out=marked)
        np.maximum(rank, marked, out=rank)
    won: NDArray[np.uint8] = name[begin + rank]
    return won


def _interpolate(corners: Floats, down: Floats, right: Floats, out: Floats) -> None:
    """Bilinear: corners (4, M), upper left, upper right, lower left, lower right; weights (P, M), (Q, M); (P, Q, M)."""
    left = corners[0] + down * (corners[2] - corners[0])
    slope = corners[1] + down * (corners[3] - corners[1]) - left
    np.multiply(slope[:, None], right, out=out)
    np.add(out, left[:, None], out=out)


def _axis(logits: int, pixels: int, first: int, count: int, align_corners: bool) -> _Axis:
    """The cells of ``count`` pixels from ``first`` of an axis of ``pixels`` that ``logits`` are interpolated to."""
    position = np.arange(first, first + count, dtype=np.float64)
    if align_corners:
        source = position * ((logits - 1) / (pixels - 1) if pixels > 1 else 0.0)
    else:
        source = (position + 0.5) * (logits / pixels) - 0.5
    lower = np.floor(source).astype(np.intp)
    cells, start, cell, length = np.unique(lower, return_index=True, return_inverse=True, return_counts=True)
    inside = start + np.minimum(np.arange(length.max())[:, None], length - 1)
    weights = (source - lower).astype(np.float32)[inside]
    return _Axis(np.maximum(cells, 0), np.minimum(cells + 1, logits - 1), start, cell.reshape(-1), inside, weights)
