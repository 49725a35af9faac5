"""Distillation methods: one file each, found through one table, whose names need no torch.

- ``base``: what a method is; ``values``: what its hyper-parameters may be; ``gather``, ``memory_bank``: what some need
- ``parsing``: methods as they are written; ``compose``: several as one
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from segkd.errors import unknown_name

if TYPE_CHECKING:
    from segkd_distill.methods.base import Method
    from segkd_distill.models.output import TapInfo

METHODS: dict[str, str] = {
    "kd": "segkd_distill.methods.kd:LogitKD",
    "skds": "segkd_distill.methods.skds:StructuredDistillation",
    "ifvd": "segkd_distill.methods.ifvd:IntraClassVariation",
    "cwd": "segkd_distill.methods.cwd:ChannelWiseDistillation",
    "cirkd": "segkd_distill.methods.cirkd:CrossImageRelationalDistillation",
    "bpkd": "segkd_distill.methods.bpkd:BoundaryPrivilegedDistillation",
    "brd": "segkd_distill.methods.brd:BoundaryRelationDistillation",
    "attnfd": "segkd_distill.methods.attnfd:AttentionFeatureDistillation",
    "afdcd": "segkd_distill.methods.afdcd:AugmentationFreeContrast",
    "fitnet": "segkd_distill.methods.fitnet:FitNet",
    "at": "segkd_distill.methods.at:AttentionTransfer",
    "dsd": "segkd_distill.methods.dsd:DoubleSimilarityDistillation",
}


def method_class(name: str) -> type[Method]:
    """The class behind a method's name.

    Raises:
        SegkdError: for a name that is not in ``METHODS``.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    module, attribute = METHODS[name].split(":")
    found: type[Method] = getattr(importlib.import_module(module), attribute)
    return found


def check_hyper(name: str, hyper: Iterable[str]) -> None:
    """Check the names of a method's hyper-parameters.

    Raises:
        SegkdError: for an unknown method or hyper-parameter.
    """
    known = set(inspect.signature(method_class(name)).parameters) - {"student", "teacher", "num_classes"}
    for key in hyper:
        if key not in known:
            raise unknown_name(f"hyper-parameter of {name}", key, known)


def build_method(name: str, *, student: TapInfo, teacher: TapInfo, num_classes: int, **hyper: Any) -> Method:
    """Build a method for a pair of networks.

    Args:
        name: a key of ``METHODS``.
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        hyper: the method's hyper-parameters; ``weight`` (default 1) scales all its terms when it is composed.

    Raises:
        SegkdError: for an unknown method or hyper-parameter, or taps that one of the networks lacks.
    """
    check_hyper(name, hyper)
    method = method_class(name)(student=student, teacher=teacher, num_classes=num_classes, **hyper)
    method.needs.require(name, student, teacher)
    return method
