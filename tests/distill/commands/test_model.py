from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from segkd import cli
from tests.distill.commands.command_line import segkd
from tests.distill.models.checkpoints.formats import foreign


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "kd_deeplabv3_resnet18_citys.pth"
    torch.save(foreign.state_dict("cirkd-deeplabv3-r18"), path)
    return path


def test_help_and_summary() -> None:
    assert cli.SUMMARIES["model"] in segkd("model", "--help").stdout
    assert "Nothing in the file is executed" in segkd("model", "inspect", "--help").stdout


def test_what_a_checkpoint_is(file: Path) -> None:
    result = segkd("model", "inspect", file, "--keys")
    assert result.exit_code == 0, result.output
    for line in (
        f"{file}: a network (CIRKD)",
        # The auxiliary head: 3 * 3 * 256 * 64 + 2 * 64 + 64 * 19 + 19 = 148,819.
        "parameters      13,607,974 (148,819 of them in the auxiliary head), in 190 tensors with statistics",
        "classes         19",
        "normalisation   RGB mean 122.679 116.669 104.007, deviation 1 1 1",
        "model           cirkd-deeplabv3-r18          190 tensors fit; complete",
    ):
        assert line in result.stdout.splitlines(), result.stdout


def test_json(file: Path) -> None:
    found = json.loads(segkd("model", "inspect", file, "--json").stdout)
    assert found["format"] == "CIRKD" and found["aspp_width"] == 128 and found["num_classes"] == 19
    assert found["models"][0]["name"] == "cirkd-deeplabv3-r18" and found["models"][0]["missing"] == []


def test_a_malicious_file_is_refused_in_one_line(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "executed"),))

    torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": Malicious()}, tmp_path / "evil.pth")
    result = segkd("model", "inspect", tmp_path / "evil.pth")
    assert result.exit_code == 2 and "loading that could run its code" in result.stderr
    assert len(result.stderr.splitlines()) == 1 and os.listdir(tmp_path) == ["evil.pth"]
