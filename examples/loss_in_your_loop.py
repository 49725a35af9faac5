"""A distillation loss in a training loop of your own: a torch network learns from another on street scenes.

python examples/loss_in_your_loop.py --steps 200
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor, nn

from segkd.data.street_scenes.scene import scene
from segkd_distill.losses import channel_wise

CLASSES = 34
FRAME_PX = (64, 128)


def network(width: int) -> nn.Sequential:
    """In place of your networks: anything that gives logits (N, K, h, w)."""
    body = [nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body, nn.Conv2d(width, CLASSES, 1))


def batch(step: int, size: int = 4) -> tuple[Tensor, Tensor]:
    """In place of your data: images (N, 3, H, W) around 0, labels (N, H, W)."""
    frames, labels = zip(*(scene(0, step * size + number, *FRAME_PX) for number in range(size)), strict=True)
    images = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 127.5 - 1
    return images, torch.from_numpy(np.stack(labels)).long()


def main() -> None:
    """Train a teacher for as many steps as the student, then the student with labels and teacher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    teacher, student = network(32), network(8)

    for name, model in (("teacher", teacher), ("student", student)):
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for step in range(steps):
            images, labels = batch(step)
            logits = model(images)
            loss = nn.functional.cross_entropy(nn.functional.interpolate(logits, labels.shape[-2:]), labels)
            if model is student:
                # Scalar, weight 1, no gradient for the teacher; same grid and classes on both sides.
                loss = loss + channel_wise(logits, teacher(images), temperature=4.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{name}: loss {loss.item():.3f} after {steps} steps")


if __name__ == "__main__":
    main()
