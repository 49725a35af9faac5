"""A picture of a data set: some images beside their masks in the palette, with a legend."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset, LabelSpace

Picture = NDArray[np.uint8]

IGNORED_COLOUR = (255, 255, 255)
_CELL_WIDTH_PX = 320
_GAP_PX = 6
_LEGEND_ROW_PX = 20
_LEGEND_COLUMN_PX = 160
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def coloured(mask: NDArray[np.uint8], labels: LabelSpace) -> Picture:
    """A mask in the colours of its classes; ignored pixels are white.

    Args:
        mask: uint8 class indices, (height, width); 255 = ignore.
        labels: the classes.

    Returns:
        uint8 RGB, (height, width, 3).
    """
    table = np.full((256, 3), IGNORED_COLOUR, np.uint8)
    table[: labels.num_classes] = labels.palette
    colours: Picture = table[mask]
    return colours


def picture_grid(dataset: Dataset, indices: list[int], columns: int = 2) -> Picture:
    """Images with their masks on the right, and below them the names of the classes that occur.

    Args:
        dataset: the data set; of plain frames only the images are shown.
        indices: which images.
        columns: pairs in a row.

    Returns:
        uint8 RGB, (height, width, 3).
    """
    seen: set[int] = set()
    cells = [_cell(dataset, index, seen) for index in indices]
    width = max(cell.shape[1] for cell in cells)
    rows = [_row(cells[first : first + columns], width, columns) for first in range(0, len(cells), columns)]
    if seen:
        rows.append(_legend(dataset.labels, sorted(seen), rows[0].shape[1]))
    grid: Picture = np.concatenate(rows)
    return grid


def _cell(dataset: Dataset, index: int, seen: set[int]) -> Picture:
    image = dataset.read_image(index)
    size = (_CELL_WIDTH_PX, max(1, round(image.shape[0] * _CELL_WIDTH_PX / image.shape[1])))
    parts = [cv2.resize(image, size, interpolation=cv2.INTER_AREA)]
    if dataset.has_masks:
        mask = dataset.read_mask(index)
        seen |= set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[: dataset.labels.num_classes]).tolist())
        parts.append(coloured(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), dataset.labels))
    cell: Picture = np.concatenate(parts, axis=1)
    return cell


def _row(cells: list[Picture], width: int, columns: int) -> Picture:
    height = max(cell.shape[0] for cell in cells)
    row = np.full((height + _GAP_PX, columns * (width + _GAP_PX), 3), 255, np.uint8)
    for position, cell in enumerate(cells):
        left = position * (width + _GAP_PX)
        row[: cell.shape[0], left : left + cell.shape[1]] = cell
    return row


def _legend(labels: LabelSpace, classes: list[int], width: int) -> Picture:
    per_row = max(1, width // _LEGEND_COLUMN_PX)
    legend = np.full((-(-len(classes) // per_row) * _LEGEND_ROW_PX, width, 3), 255, np.uint8)
    for position, index in enumerate(classes):
        top, left = position // per_row * _LEGEND_ROW_PX, position % per_row * _LEGEND_COLUMN_PX
        legend[top + 3 : top + 17, left + 3 : left + 17] = labels.palette[index]
        # The margin of the next column stays free; longer names are cut by it.
        panel = legend[top : top + _LEGEND_ROW_PX, left : left + _LEGEND_COLUMN_PX].copy()
        cv2.putText(panel, labels.names[index], (22, 14), _FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        legend[top : top + _LEGEND_ROW_PX, left : left + _LEGEND_COLUMN_PX] = panel
    return legend
