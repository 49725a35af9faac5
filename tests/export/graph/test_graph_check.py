from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segkd.errors import GateFailed
from segkd_export.artifact import ExportResult
from segkd_export.graph.graph_check import check_graph, run_graph
from segkd_export.reference import Prediction, predict
from tests.export.conftest import ODD_SIZE, random_frames, random_network

FRAMES = random_frames(11, 2, ODD_SIZE)


@pytest.fixture(scope="module")
def graphs(exported: ExportResult) -> tuple[Path, Path]:
    return exported.folder / "model.fp32.onnx", exported.folder / "model.fp32.logits.onnx"


@pytest.fixture(scope="module")
def source() -> Prediction:
    return predict(random_network(2), FRAMES, torch.device("cpu"))


def test_the_source_network_passes(graphs: tuple[Path, Path], source: Prediction) -> None:
    check = check_graph(*graphs, FRAMES, source, batch=1)
    assert check.agreement >= 0.9999
    assert check.agreement_all >= 0.999
    assert check.logits_relative_l2 < 1e-5
    assert check.ties < 0.05
    assert check.frames == 2


def test_another_network_fails(graphs: tuple[Path, Path]) -> None:
    other = predict(random_network(4), FRAMES, torch.device("cpu"))
    with pytest.raises(GateFailed, match="the exported graph is not the network"):
        check_graph(*graphs, FRAMES, other, batch=1)


def test_a_small_error_of_the_logits_fails(graphs: tuple[Path, Path], source: Prediction) -> None:
    with pytest.raises(GateFailed, match=r"logits differ by 1\.0e-03"):
        check_graph(*graphs, FRAMES, replace(source, logits=source.logits / np.float32(1.001)), batch=1)


def test_flips_count_unless_they_are_ties(graphs: tuple[Path, Path], source: Prediction) -> None:
    flipped, tied = source.labels.copy(), source.margin.copy()
    flipped[0, :10, :10] = (flipped[0, :10, :10] + 1) % 19
    with pytest.raises(GateFailed, match=r"labels agree on 0\.99"):
        check_graph(*graphs, FRAMES, replace(source, labels=flipped), batch=1)
    tied[0, :10, :10] = 0
    check = check_graph(*graphs, FRAMES, replace(source, labels=flipped, margin=tied), batch=1)
    assert check.agreement >= 0.9999
    assert check.agreement_all < 0.995


def test_logits_that_are_not_finite_fail(graphs: tuple[Path, Path], source: Prediction) -> None:
    broken = source.logits.copy()
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(GateFailed, match="not finite"):
        check_graph(*graphs, FRAMES, replace(source, logits=broken), batch=1)


def test_the_last_batch_is_filled_up(graphs: tuple[Path, Path]) -> None:
    assert run_graph(graphs[0], FRAMES, batch=1).shape == (2, *ODD_SIZE)
