from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from segkd.errors import BackendMissing
from segkd_distill.device import open_fabric

CPU = torch.device("cpu")


class Probe(torch.nn.Linear):
    seen: torch.dtype

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen = pixels.dtype
        return super().forward(pixels)


@pytest.mark.parametrize(("amp", "inside"), [("off", torch.float32), ("bf16", torch.bfloat16)])
def test_what_goes_in_is_not_rounded(amp: str, inside: torch.dtype) -> None:
    probe = Probe(3, 3)
    output = open_fabric(CPU, amp).setup_module(probe)(torch.rand(2, 3))
    assert probe.seen == torch.float32 and output.dtype == inside and probe.weight.dtype == torch.float32


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(BackendMissing, match="fp16 needs a GPU"):
        open_fabric(CPU, "fp16")


@pytest.mark.long
def test_fabric_is_silent() -> None:
    code = (
        "import torch; from segkd_distill.device import open_fabric\n"
        "for amp in ('off', 'bf16'):\n"
        "    fabric = open_fabric(torch.device('cpu'), amp)\n"
        "    net = torch.nn.Linear(1, 1)\n"
        "    step, optimizer = fabric.setup_module(net), fabric.setup_optimizers(torch.optim.SGD(net.parameters()))\n"
        "    fabric.backward(step(torch.ones(1, 1)).sum()); optimizer.step()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
