"""The Mix Transformer (MiT), the encoder of SegFormer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd_distill.models.backbones.base import Backbone, Features


class MiT(Backbone):
    """Four stages of overlapping patch embeddings and attention whose keys and values lie on a coarser grid.

    Source: Xie et al., SegFormer, NeurIPS 2021. The parameter names are those of transformers >= 5.12 without the
    prefix ``segformer.``, so its checkpoints load as they are; transformers itself is not needed.

    Differs from the original (NVlabs/SegFormer): layer normalisations have epsilon 1e-5 as in transformers, not 1e-6;
    there is no dropout in attention and feed-forward, which all published settings set to 0.

    Args:
        widths: channels of c1..c4.
        depths: blocks of each stage.
        heads: attention heads of each stage; they divide its width.
        reductions: how much coarser than the queries the keys' and values' grid is, in each stage.
        expansions: hidden over outer width of the feed-forward parts of each stage.
        drop_path: probability of dropping the last block's branches while training; it rises linearly from 0.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (32, 64, 160, 256),
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (1, 2, 5, 8),
        reductions: Sequence[int] = (8, 4, 2, 1),
        expansions: Sequence[float] = (4, 4, 4, 4),
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.widths = (widths[0], widths[1], widths[2], widths[3])
        self.strides = (4, 8, 16, 32)

        rates = torch.linspace(0, drop_path, sum(depths), device="cpu").tolist()

        stages = []
        for stage in range(4):
            first = sum(depths[:stage])
            stages.append(
                Stage(
                    widths[stage - 1] if stage else 3,
                    widths[stage],
                    heads=heads[stage],
                    reduction=reductions[stage],
                    expansion=expansions[stage],
                    drop_paths=rates[first : first + depths[stage]],
                    kernel_size=3 if stage else 7,
                    stride=2 if stage else 4,
                )
            )
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> Features:
        """The normalised map of each stage; ``c4_pre`` is ``c4``, because a stage ends with a layer normalisation."""
        maps = []
        x = image
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return Features(maps[0], maps[1], maps[2], maps[3], maps[3])

    def init_weights(self) -> None:
        """The original's: truncated normal (0.02) for linear layers, Kaiming (fan-out) for convolutions, biases 0."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Conv2d):
                fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels // layer.groups
                nn.init.normal_(layer.weight, std=(2.0 / fan_out) ** 0.5)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class Stage(nn.Module):
    """Patch embedding, blocks, layer normalisation: (N, in, h, w) -> (N, width, ceil(h / stride), ceil(w / stride))."""

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        heads: int,
        reduction: int,
        expansion: float,
        drop_paths: Sequence[float],
        kernel_size: int,
        stride: int,
    ) -> None:
        super().__init__()
        self.patch_embeddings = PatchEmbedding(in_channels, width, kernel_size, stride)
        self.blocks = nn.ModuleList(Block(width, heads, reduction, expansion, rate) for rate in drop_paths)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """The stage's map."""
        tokens, size = self.patch_embeddings(x)
        for block in self.blocks:
            tokens = block(tokens, size)
        return to_map(self.layer_norm(tokens), size)


class PatchEmbedding(nn.Module):
    """Strided convolution whose windows overlap, then a layer normalisation."""

    def __init__(self, in_channels: int, width: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, kernel_size, stride, kernel_size // 2)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens (N, h * w, width), and (h, w)."""
        x = self.proj(x)
        return self.layer_norm(to_tokens(x)), (x.shape[2], x.shape[3])


class Block(nn.Module):
    """Attention, then feed-forward, each normalised before and added to its input."""

    def __init__(self, width: int, heads: int, reduction: int, expansion: float, drop_path: float) -> None:
        super().__init__()
        self.layernorm_before = nn.LayerNorm(width)
        self.attention = EfficientAttention(width, heads, reduction)
        self.layernorm_after = nn.LayerNorm(width)
        self.mlp = MixFeedForward(width, int(width * expansion))
        self.drop_path = drop_path

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, h * w, width) -> the same shape."""
        tokens = tokens + self._dropped(self.attention(self.layernorm_before(tokens), size))
        return tokens + self._dropped(self.mlp(self.layernorm_after(tokens), size))

    def _dropped(self, branch: Tensor) -> Tensor:
        """While training, the branch without a random part of the images, the others scaled up."""
        if not self.training or self.drop_path == 0:
            return branch
        kept = torch.rand(len(branch), 1, 1, dtype=branch.dtype, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


class EfficientAttention(nn.Module):
    """Self-attention with keys and values from a coarser grid."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.o_proj = nn.Linear(width, width)
        self.sequence_reduction = SequenceReduction(width, reduction) if reduction > 1 else None

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, h * w, width) -> the same shape."""
        coarse = tokens if self.sequence_reduction is None else self.sequence_reduction(tokens, size)
        queries, keys, values = self.q_proj(tokens), self.k_proj(coarse), self.v_proj(coarse)
        mixed = F.scaled_dot_product_attention(self._split(queries), self._split(keys), self._split(values))
        return self.o_proj(mixed.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        """(N, L, width) -> (N, heads, L, width / heads)."""
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)


class SequenceReduction(nn.Module):
    """A convolution whose windows tile the map, then a layer normalisation."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.sequence_reduction = nn.Conv2d(width, width, reduction, reduction)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, h * w, width) -> (N, h // reduction * (w // reduction), width)."""
        return self.layer_norm(to_tokens(self.sequence_reduction(to_map(tokens, size))))


class MixFeedForward(nn.Module):
    """Two linear layers with a depthwise 3x3 between them, which takes the place of a position code."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, h * w, width) -> the same shape."""
        return self.fc2(F.gelu(to_tokens(self.dwconv(to_map(self.fc1(tokens), size)))))


class DepthwiseConv(nn.Module):
    """A depthwise 3x3 with bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same shape."""
        return self.dwconv(x)


def to_tokens(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h * w, C)."""
    return x.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h * w, C) -> (N, C, h, w), in channels_last memory."""
    return tokens.transpose(1, 2).unflatten(2, size)
