from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from segkd.errors import SegkdError
from segkd_distill.run.metrics_log import MetricsLog, TermMeans, lines_until


def test_events_are_lines(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, 0) as log:
        log.write(5, "train", {"loss": 1.5, "task/ce": 1.5, "lr": 0.1, "eta_s": None})
        log.write(5, "eval", {"miou": float("nan"), "best": True})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[0] == {"step": 5, "event": "train", "loss": 1.5, "task/ce": 1.5, "lr": 0.1, "eta_s": None}
    assert rows[1] == {"step": 5, "event": "eval", "miou": None, "best": True}
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_a_resumed_log_goes_on_after_the_checkpoint(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, 0) as log:
        for step in (2, 4, 6):
            log.write(step, "train", {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "ev')  # cut off by a crash
    with MetricsLog(tmp_path, 4) as log:
        log.write(5, "train", {"loss": 0.0})
    assert [json.loads(line)["step"] for line in lines_until(tmp_path / "metrics.jsonl", 99)] == [2, 4, 5]


def test_tensorboard_has_the_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with MetricsLog(tmp_path, 0) as log:
        log.write(5, "train", {"loss": 1.5, "eta_s": None})
        log.write(5, "eval", {"miou": 0.25, "best": True})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "eval/miou"}
    assert (events.Scalars("eval/miou")[0].step, events.Scalars("eval/miou")[0].value) == (5, 0.25)


def test_means_since_the_last_log() -> None:
    means = TermMeans()
    means.add({"task/ce": torch.tensor(1.0), "cwd/logits": torch.tensor(4.0)}, 0)
    means.add({"task/ce": torch.tensor(2.0)}, 1)
    copy = TermMeans()
    copy.load_state_dict(means.state_dict())
    assert means.take() == copy.take() == {"loss": 5.5, "task/ce": 1.5, "cwd/logits": 4.0}
    means.add({"task/ce": torch.tensor(3.0)}, 2)
    assert means.take() == {"loss": 3.0, "task/ce": 3.0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_is_named(bad: float) -> None:
    means = TermMeans()
    with pytest.raises(SegkdError, match=rf"step 7: cwd/logits is {bad}; .*train\.lr"):
        means.add({"task/ce": torch.tensor(1.0), "cwd/logits": torch.tensor(bad)}, 7)
    assert means.sums == {}
