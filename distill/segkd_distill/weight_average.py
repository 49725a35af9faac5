"""A moving average of the student's weights: smoother than any single step's, at the cost of one copy."""

from __future__ import annotations

import copy
from typing import Any

import torch

from segkd_distill.models.segmenter import Segmenter


class WeightAverage:
    """Exponential moving average of a network's tensors, kept beside the network that trains.

    ``average = d * average + (1 - d) * weights`` after every step, with ``d = min(decay, (1 + n) / (10 + n))`` at the
    n-th update, so that the first steps are forgotten soon. Parameters and floating-point buffers (the running
    statistics of BatchNorm) are averaged; other buffers are copied.

    Source: Polyak averaging as TensorFlow's ``ExponentialMovingAverage`` does it, with its ``num_updates`` ramp.

    Args:
        network: what trains; the average begins as its copy.
        decay: share of the old average that stays, 0 to below 1.

    Attributes:
        network: a network with the averaged weights, in eval mode and without gradients.
        updates: how many steps are in it.
    """

    def __init__(self, network: Segmenter, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: Segmenter) -> None:
        """Take the weights of a step into the average."""
        self.updates += 1
        kept = min(self.decay, (1 + self.updates) / (10 + self.updates))

        current = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], 1 - kept)
            else:
                average.copy_(current[name])

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"weights": self.network.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.network.load_state_dict(state["weights"])
        self.updates = state["updates"]
