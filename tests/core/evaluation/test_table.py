from __future__ import annotations

import numpy as np

from segkd.evaluation.table import format_result, points
from segkd.metrics import MetricOptions, MetricSuite


def result(options: MetricOptions | None = None) -> dict[str, object]:
    suite = MetricSuite(["road", "traffic light", "sky"], options=options)
    truth = np.zeros((10, 12), np.uint8)
    truth[:, 6:] = 1
    suite.update("x", np.roll(truth, 1, axis=1), truth)
    return {**suite.to_dict(), "classes": list(suite.class_names), "data": "folder:/d", "images": 1}


def test_points() -> None:
    assert points(0.5) == " 50.00" and points(1.0) == "100.00" and points(None) == "     -"


def test_a_plain_result() -> None:
    rows = format_result(result()).splitlines()
    assert rows[0].split() == ["class", "IoU", "Acc"]
    assert rows[2].split() == ["traffic", "light", "71.43", "83.33"] and rows[3].split() == ["sky", "-", "-"]
    assert rows[-2].split() == ["mIoU", "71.43", "mAcc", "83.33", "aAcc", "83.33"]
    assert rows[-1] == "1 images of folder:/d" and len(rows) == 6


def test_all_columns() -> None:
    text = format_result(result(MetricOptions((1, 3), 0.1, 2, True, 10, void_borders=False)))
    rows = text.splitlines()
    assert rows[0].split() == ["class", "IoU", "Acc", "tri1", "tri3", "bIoU", "bF"]
    assert len({len(row) for row in rows[:4]}) == 1
    components = next(row for row in rows if row.startswith("components"))
    assert components.split()[1:] == ["true", "found", "broken", "missed", "largest", "spurious"]
    start = rows.index(components)
    assert len({len(row) for row in rows[start : start + 4]}) == 1
    assert rows[start + 1].split() == ["road", "1", "1", "0.00", "0.00", "100.00", "0.00"]
    assert rows[start + 2].split()[2:] == ["1", "2", "0.00", "0.00", "100.00", "1.00"]
    assert rows[start + 3].split()[1:] == ["0", "0", "-", "-", "-", "-"]
    assert "trimap mIoU  1 px 25.00  3 px" in text and "without borders of ignored pixels" in text
    assert "(ratio 0.1, 2 px)" in text and "(theta 2 px)" in text and "(10 draws, seed 0)" in text
