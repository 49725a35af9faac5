from __future__ import annotations

import numpy as np

from segkd_deploy.runners.batches import in_batches


def test_the_last_batch_is_filled_with_its_last_frame() -> None:
    seen: list[list[int]] = []

    def call(part: np.ndarray) -> np.ndarray:
        assert part.flags.c_contiguous
        seen.append(part.tolist())
        return part * 10

    assert in_batches(np.arange(10)[::2], 3, call).tolist() == [0, 20, 40, 60, 80]
    assert seen == [[0, 2, 4], [6, 8, 8]]
