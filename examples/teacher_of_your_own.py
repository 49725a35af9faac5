"""A torch network of your own as a teacher, with its weights from a file of yours.

    cd examples
    segkd distill --teacher torch:teacher_of_your_own:teacher --teacher-weights mine.pt --data folder:my_data --out run

The file has the network's own names. `python teacher_of_your_own.py mine.pt` writes one with random weights, to try it.
docs/teachers.md lists all that such a module may state.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """In place of your network: images in, logits (N, K, h, w) out.

    Attributes:
        mean: RGB in 0..255, subtracted before ``forward`` sees the image.
        std: RGB, by which the difference is divided.
        class_names: of the logits' channels; they are mapped to the data's by name.
    """

    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)
    class_names = ("road", "building", "vegetation", "sky", "car")

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, stride=4, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Conv2d(width, len(self.class_names), 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits at a quarter of the image's size."""
        logits: Tensor = self.classifier(self.body(image))
        return logits


def teacher() -> Net:
    """What ``torch:teacher_of_your_own:teacher`` calls."""
    return Net()


if __name__ == "__main__":
    torch.save(teacher().state_dict(), sys.argv[1])
