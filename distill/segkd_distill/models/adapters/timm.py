"""``timm:ENCODER+HEAD[,option=value...]``: an encoder of timm under a head of ours, as student or teacher.

Options: ``stride`` (output stride, 8, 16 or 32; 16 by default), ``channels`` (width of the head; 128), ``aux`` (width
of an auxiliary head on c3; none), ``pretrained`` (true: the encoder starts from timm's ImageNet weights).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError, import_extra, unknown_name
from segkd_distill.models.backbones.timm_encoder import TimmEncoder
from segkd_distill.models.checkpoints import read_checkpoint
from segkd_distill.models.checkpoints.loading import load_checkpoint
from segkd_distill.models.heads import HEADS
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.sources import Teacher
from segkd_distill.models.zoo import ModelConfig, build_model


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text]


OPTIONS: dict[str, Callable[[str], Any]] = {"stride": int, "channels": int, "aux": int, "pretrained": _truth}


def open_student(place: str, num_classes: int) -> tuple[Segmenter, ModelConfig]:
    """Build a network to train.

    Args:
        place: ``ENCODER+HEAD[,option=value...]``.
        num_classes: classes.

    Raises:
        SegkdError: for an unknown encoder, head or option, or weights that cannot be downloaded.
        MissingExtra: if timm is not installed.
    """
    config, pretrained = parse(place)
    model = build_model(config, num_classes)
    if pretrained:
        _load_published(model, config)
    return model, config


def open_teacher(place: str, weights: str | Path | None, num_classes: int) -> Teacher:
    """Build a network with the weights of a run that trained it, or another file with our names.

    Raises:
        SegkdError: as :func:`open_student`; without weights, or with ones that do not fit.
        MissingExtra: if timm is not installed.
    """
    if weights is None:
        raise SegkdError(
            f"teacher timm:{place} needs weights: nothing falls back to random weights; give "
            "--teacher-weights FILE, or the run folder that trained it"
        )
    config, _ = parse(place)
    checkpoint = read_checkpoint(weights)
    if checkpoint.num_classes is None:
        raise SegkdError(f"teacher timm:{place}: {weights} holds no classifier; give a whole network's weights")
    network = build_model(config, checkpoint.num_classes)
    if not any(name.startswith("auxiliary_head.") for name in checkpoint.tensors):
        network.auxiliary_head = None
    load_checkpoint(network, checkpoint)
    return Teacher(network, checkpoint.class_names)


def parse(place: str) -> tuple[ModelConfig, bool]:
    """The architecture of ``ENCODER+HEAD[,option=value...]``, and whether its encoder starts from timm's weights.

    Raises:
        SegkdError: for an unknown head or option, or one without a value.
        MissingExtra: if timm is not installed.
    """
    name, *pairs = place.split(",")
    encoder, plus, head = name.partition("+")
    if not plus or not encoder or not head:
        raise SegkdError(f"timm:{place}: expected timm:ENCODER+HEAD, as in timm:mobilenetv3_large_100+deeplabv3plus")
    if head not in HEADS:
        raise unknown_name("head", head, HEADS)
    options: dict[str, Any] = {"stride": 16, "channels": 128, "aux": None, "pretrained": False}
    for pair in pairs:
        key, _, text = pair.partition("=")
        if key not in OPTIONS:
            raise unknown_name(f"option of timm:{name}", key, OPTIONS)
        try:
            options[key] = OPTIONS[key](text)
        except (ValueError, KeyError):
            raise SegkdError(f"timm:{place}: {key}={text} has no meaning; see `docs/teachers.md`") from None
    import_extra("timm", "timm")
    backbone_options = {"encoder": encoder, "output_stride": options["stride"]}
    body = TimmEncoder(**backbone_options)
    config = ModelConfig(
        f"timm:{place}",
        "timm",
        head,
        backbone_options,
        {"channels": options["channels"]},
        options["aux"],
        mean=(body.mean[0], body.mean[1], body.mean[2]),
        std=(body.std[0], body.std[1], body.std[2]),
    )
    return config, options["pretrained"]


def _load_published(model: Segmenter, config: ModelConfig) -> None:
    """Load timm's own weights into the encoder."""
    timm = import_extra("timm", "timm")
    encoder, stride = config.backbone_options["encoder"], config.backbone_options["output_stride"]
    dilated = {} if stride == 32 else {"output_stride": stride}
    try:
        published = timm.create_model(encoder, pretrained=True, features_only=True, **dilated)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise SegkdError(
            f"timm did not get the weights of {encoder} ({reason}); leave out pretrained=true, or run where there is a "
            "network"
        ) from error
    body = model.backbone.get_submodule("body")
    body.load_state_dict(published.state_dict())
    print(f"student {config.name}: the encoder starts from timm's weights", file=sys.stderr)
