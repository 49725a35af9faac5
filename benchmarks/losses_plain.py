"""The originals' formulas in plain torch, as the papers and their code define them, without any of segkd's shortcuts.

Each is written from a description of the formula and computes what the original computes, in the obvious way: autograd
throughout, every intermediate tensor kept. They are the other side of the comparison in one run on one machine.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def logit_kd(s: Tensor, t: Tensor) -> Tensor:
    """KL per pixel at T = 1, mean over pixels."""
    return F.kl_div(s.log_softmax(1), t.softmax(1), reduction="sum") / (s.numel() // s.shape[1])


def logit_kd_ifvd(s: Tensor, t: Tensor) -> Tensor:
    """The same, mean over all elements, on rows of classes."""
    rows_s, rows_t = (x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (s, t))
    return F.kl_div(rows_s.log_softmax(1), rows_t.softmax(1), reduction="sum") / s.numel()


def pixel_cross_entropy(s: Tensor, t: Tensor) -> Tensor:
    """Cross-entropy against the teacher's probabilities, summed over the batch, divided by the grid."""
    rows_s, rows_t = (x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]) for x in (s, t))
    return -(rows_t.softmax(1) * rows_s.log_softmax(1)).sum() / (s.shape[2] * s.shape[3])


def _affinity_distance(s: Tensor, t: Tensor) -> Tensor:
    s, t = s.flatten(2), t.flatten(2)
    gap: Tensor = torch.bmm(t.transpose(1, 2), t) - torch.bmm(s.transpose(1, 2), s)
    return gap.square().sum() / (s.shape[2] ** 2 * s.shape[0])


def pairwise_of_a_share(s: Tensor, t: Tensor, scale: float = 0.5) -> Tensor:
    """SKDS: nodes of a share of the map, divided by a norm that counts as a constant."""
    window = int(s.shape[2] * scale), int(s.shape[3] * scale)
    nodes = [F.max_pool2d(x, window, window, ceil_mode=True) for x in (s, t)]
    s, t = (x / (x.detach().square().sum(1, keepdim=True).sqrt() + 1e-8) for x in nodes)
    return _affinity_distance(s, t)


def pairwise_of_windows(s: Tensor, t: Tensor) -> Tensor:
    """CIRKD's variant: nodes of 2x2 positions."""
    s, t = (F.normalize(F.max_pool2d(x, 2, 2)) for x in (s, t))
    return _affinity_distance(s, t)


def intra_class_variation(s: Tensor, t: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """IFVD, class by class: a map of class centres, and each pixel's cosine with it."""
    sampled = F.interpolate(labels[:, None].float(), size=s.shape[2:], mode="nearest")
    similarities = []
    for feature in (s, t):
        centres = feature.clone()
        for label in range(num_classes):
            member = (sampled == label).float()
            total = (member * feature).sum((2, 3), keepdim=True)
            centre = total / (member.sum((2, 3), keepdim=True) + 1e-6)
            centres = centres * (1 - member) + centre * member
        similarities.append(F.cosine_similarity(feature, centres, dim=1))
    return F.mse_loss(similarities[0], similarities[1])


def channel_wise(s: Tensor, t: Tensor, temperature: float) -> Tensor:
    """CWD: KL over the positions of each channel."""
    images, channels = s.shape[:2]
    rows_s, rows_t = (x.reshape(images * channels, -1) / temperature for x in (s, t))
    divergence = F.kl_div(rows_s.log_softmax(1), rows_t.softmax(1), reduction="sum")
    return divergence * temperature**2 / (images * channels)


def cross_image_relation(s: Tensor, t: Tensor, temperature: float = 0.1) -> Tensor:
    """CIRKD within the batch: one matrix of similarities per ordered pair of images."""
    s, t = (F.normalize(x).flatten(2) for x in (s, t))
    total = s.new_zeros(())
    for i in range(len(s)):
        for j in range(len(s)):
            of_s = s[i].T @ s[j] / temperature
            of_t = t[i].T @ t[j] / temperature
            total = total + F.kl_div(of_s.log_softmax(1), of_t.softmax(1), reduction="batchmean")
    return total / len(s) ** 2


def attention_feature(s: Tensor, t: Tensor) -> Tensor:
    """AttnFD: squared distance of two tensors of unit norm, per image."""
    return (s / s.norm() - t / t.norm()).square().sum() / len(s)


def omni_contrast(s: Tensor, t: Tensor, temperature: float = 0.07, patch: int = 4, groups: int = 16) -> Tensor:
    """Af-DCD's contrast after 4x4 pooling: cross-entropy over the tokens of a patch, other positions of a group out."""
    s, t = (F.max_pool2d(x, 4, 4) for x in (s, t))
    images, channels, height, width = s.shape
    grid = (images, groups, channels // groups, height // patch, patch, width // patch, patch)
    tokens = [x.reshape(grid).permute(0, 3, 5, 4, 6, 1, 2).reshape(-1, patch**2 * groups, grid[2]) for x in (s, t)]
    scores = -torch.cdist(tokens[0], tokens[1], p=1.0) / temperature
    group = torch.arange(patch**2 * groups, device=s.device) % groups
    same = group[:, None] == group[None]
    others = same & ~torch.eye(len(group), dtype=torch.bool, device=s.device)
    log_share = scores.masked_fill(others, float("-inf")).log_softmax(2)
    return -log_share.diagonal(dim1=1, dim2=2).sum() / (images * height * width)


def masked_generator(align: nn.Module, convolutions: list[nn.Module], s: Tensor, t: Tensor, keep: Tensor) -> Tensor:
    """Af-DCD's reconstruction and contrast, with published weights for Cityscapes."""
    generated = convolutions[1](F.relu(convolutions[0](align(s) * keep)))
    return 2e-6 * (generated - t).square().sum() / len(s) + 5e-3 * omni_contrast(generated, t)


def boundary_privileged(s: Tensor, t: Tensor, labels: Tensor, kernel: int = 7) -> Tensor:
    """BPKD: edge and body, with weights 50 and 20 and class weight 2, as its re-implementations have it."""
    classes, height, width = s.shape[1:]
    one_hot = F.one_hot(labels.clamp(max=classes), classes + 1)[..., :classes].permute(0, 3, 1, 2).float()
    dilated = F.max_pool2d(one_hot, kernel, 1, kernel // 2)
    eroded = -F.max_pool2d(-one_hot, kernel, 1, kernel // 2)
    mask = F.adaptive_avg_pool2d(((dilated - eroded) > 0).float(), (height, width))
    divergence = F.kl_div((s * mask).log_softmax(1), (t * mask).softmax(1), reduction="none").sum(1, keepdim=True)
    pixels = (mask > 0).sum((2, 3)).clamp(min=1)
    edge = (2.0 * (divergence * mask).sum((2, 3)) / pixels).sum(1).mean()
    return 50 * edge + 20 * channel_wise(s * (1 - mask), t * (1 - mask), 1.0)


def task_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the logits at the labels' size, corners aligned."""
    upsampled = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=True)
    return F.cross_entropy(upsampled, labels, ignore_index=255)
