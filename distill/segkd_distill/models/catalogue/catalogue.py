"""Every network of the zoo with its size, its cost and its taps, beside what papers say."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch

from segkd.errors import MissingExtra
from segkd_distill.models.catalogue.flops import ParameterCount, count_flops, count_parameters
from segkd_distill.models.catalogue.published import PUBLISHED, Published
from segkd_distill.models.output import TapInfo
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import MODELS, ModelConfig, build_model

FLOPS_CONVENTION = (
    "multiply-adds of one image by fvcore's rules: convolution and matrix product 1 per multiply-add, batch "
    "normalisation 2 per element, bilinear resize 4 per output element, adaptive pooling 1 per input element; "
    "evaluation mode, without the auxiliary head, with the resize of the logits to the image"
)


@dataclass(frozen=True)
class Cost:
    """What a network costs for some number of classes and image size.

    Attributes:
        num_classes: classes.
        imgsz: height and width in pixels.
        parameters: numbers of parameters.
        flops: multiply-adds of one image, by fvcore's rules.
    """

    num_classes: int
    imgsz: tuple[int, int]
    parameters: ParameterCount
    flops: int


@dataclass(frozen=True)
class Row:
    """A network of the zoo.

    Attributes:
        config: the network.
        cost: what was asked for; None where an optional dependency is missing.
        taps: widths and strides of its taps; None like ``cost``.
        published: a paper's figures; None where there are none.
        like_published: our figures for the paper's classes and image size; None where there are none of either.
        missing: which optional dependency is missing, or "".
    """

    config: ModelConfig
    cost: Cost | None
    taps: TapInfo | None
    published: Published | None
    like_published: Cost | None
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; parameters are numbers, FLOPs multiply-adds."""
        row: dict[str, Any] = {
            "name": self.config.name,
            "backbone": self.config.backbone,
            "head": self.config.head,
            "missing": self.missing or None,
        }
        if self.cost is not None and self.taps is not None:
            strides = self.taps.strides
            row |= {
                **_cost_dict(self.cost),
                "output_stride": strides["logits"],
                "taps": {
                    name: {"channels": width, "stride": strides[name]} for name, width in self.taps.channels.items()
                },
            }
        row["published"] = None if self.published is None else dataclasses.asdict(self.published)
        row["like_published"] = None if self.like_published is None else _cost_dict(self.like_published)
        return row


def _cost_dict(cost: Cost) -> dict[str, Any]:
    counts = cost.parameters
    return {
        "num_classes": cost.num_classes,
        "imgsz": list(cost.imgsz),
        "parameters": counts.deployed,
        "auxiliary_parameters": counts.total - counts.deployed,
        "total_parameters": counts.total,
        "folded_parameters": counts.folded,
        "flops": cost.flops,
    }


def describe_models(num_classes: int, imgsz: tuple[int, int]) -> list[Row]:
    """Describe every network of the zoo; no weights are made, only shapes.

    Args:
        num_classes: classes.
        imgsz: height and width in pixels for the FLOPs.
    """
    return [_describe(config, num_classes, imgsz) for config in MODELS.values()]


def _describe(config: ModelConfig, num_classes: int, imgsz: tuple[int, int]) -> Row:
    published = PUBLISHED.get(config.name)
    try:
        model = _on_meta(config, num_classes)
    except MissingExtra as error:
        return Row(config, None, None, published, None, str(error))
    cost = _cost(model, imgsz)
    like = None
    if published is not None:
        same = (published.num_classes, published.imgsz) == (num_classes, imgsz)
        like = cost if same else _cost(_on_meta(config, published.num_classes), published.imgsz)
    return Row(config, cost, model.tap_info(), published, like)


def _on_meta(config: ModelConfig, num_classes: int) -> Segmenter:
    """The network as shapes alone."""
    with torch.device("meta"):
        return build_model(dataclasses.replace(config, init_weights="torch"), num_classes)


def _cost(model: Segmenter, imgsz: tuple[int, int]) -> Cost:
    return Cost(model.num_classes, imgsz, count_parameters(model), count_flops(model, imgsz))
