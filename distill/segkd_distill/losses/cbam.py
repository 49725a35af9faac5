"""CBAM: attention over channels, then over positions, which refines a feature (Woo et al., ECCV 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

REDUCTION = 16


class ChannelGate(nn.Module):
    """One gate per channel from its average and its maximum, through a shared two-layer perceptron.

    Args:
        channels: width of the feature.
        reduction: the hidden layer is this many times narrower, and at least 1 wide.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> gates of (N, C, 1, 1) in 0..1."""
        average, largest = _over_positions(x)
        return torch.sigmoid(self.mlp(average) + self.mlp(largest))[:, :, None, None]


class SpatialGate(nn.Module):
    """One gate per position from the largest and the mean channel, through a 7x7 convolution and BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> gates of (N, 1, h, w) in 0..1."""
        return torch.sigmoid(self.bn(self.conv(torch.cat(_over_channels(x), dim=1))))


class CBAM(nn.Module):
    """``x * channel gate``, and the result times its spatial gate.

    Source: AmirMansurian/AttnFD ``cbam.py`` at f090bbe.

    Differs from the original:
        - Features of fewer than 16 channels work: the hidden layer has at least one unit.

    Args:
        channels: width of the feature.
        reduction: of the channel gate's hidden layer.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        self.channel_gate = ChannelGate(channels, reduction)
        self.spatial_gate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """The refined feature, (N, C, h, w) as it came."""
        x = x * self.channel_gate(x)
        return x * self.spatial_gate(x)


def parameter_free_cbam(x: Tensor) -> Tensor:
    """CBAM without weights: the gates are sigmoid(average + maximum), over positions, then over channels.

    Source: the ``teacher`` flag of AmirMansurian/AttnFD ``cbam.py`` at f090bbe, which the published networks never set.

    Args:
        x: (N, C, h, w).

    Returns:
        The refined feature, the same shape.
    """
    average, largest = _over_positions(x)
    x = x * torch.sigmoid(average + largest)[:, :, None, None]
    largest, average = _over_channels(x)
    return x * torch.sigmoid(average + largest)


# max, not amax: among equal values (the zeros of a ReLU) the gradient goes to one, as in the original.


def _over_positions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and maximum of each channel, (N, C) each."""
    flat = x.flatten(2)
    return flat.mean(2), flat.max(2).values


def _over_channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum and mean of each position, (N, 1, h, w) each."""
    return x.max(1, keepdim=True).values, x.mean(1, keepdim=True)
