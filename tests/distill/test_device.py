from __future__ import annotations

import pytest
import torch

from segkd.errors import BackendMissing, SegkdError
from segkd_distill.device import choose_device, describe_device, place


def test_auto_takes_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


def test_a_missing_gpu_is_an_error_and_never_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendMissing, match="no CUDA device"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(BackendMissing, match="no device cuda:3"):
        choose_device("cuda:3")


@pytest.mark.parametrize("name", ["tpu", "cpu:1", "cuda:x", ""])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(SegkdError, match="is not known"):
        choose_device(name)


def test_place_and_describe() -> None:
    cpu = choose_device("cpu")
    conv = place(torch.nn.Conv2d(4, 8, 3), cpu)
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert describe_device(cpu).startswith("cpu (")
