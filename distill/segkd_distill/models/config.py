"""Everything that builds a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from segkd.errors import SegkdError, unknown_name

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class ModelConfig:
    """Everything that builds a network but its number of classes; goes into ``model.json``.

    Attributes:
        name: the model's name.
        backbone: a key of ``BACKBONES``.
        head: a key of ``HEADS``.
        backbone_options: keyword arguments of the backbone.
        head_options: keyword arguments of the head.
        auxiliary_channels: width of the auxiliary head on c3; None for no auxiliary head.
        mean: RGB mean in 0..255.
        std: RGB deviation in 0..255.
        align_corners: how maps and logits are resized.
        channel_dropout: the heads drop whole channels; otherwise single values.
        init_weights: ``kaiming`` as mmsegmentation does, or ``torch`` for torch's own, from which small networks that
            train with AdamW learn faster.
    """

    name: str
    backbone: str
    head: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    head_options: Mapping[str, Any] = field(default_factory=dict)
    auxiliary_channels: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    align_corners: bool = False
    channel_dropout: bool = True
    init_weights: Literal["kaiming", "torch"] = "kaiming"

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dicts, for JSON."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            SegkdError: for a key that is unknown or missing.
        """
        known = {item.name for item in fields(cls)}
        for key in values:
            if key not in known:
                raise unknown_name("key of a model's configuration", key, known)
        for key in ("name", "backbone", "head"):
            if key not in values:
                raise SegkdError(f"a model's configuration needs the key {key!r}")
        return cls(**{key: _frozen(value) for key, value in values.items()})


def _plain(value: Any) -> Any:
    """Tuples to lists, at any depth."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _frozen(value: Any) -> Any:
    """Lists to tuples, at any depth."""
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
