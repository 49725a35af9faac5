"""The tensor formulas of distillation, one file each: tensors in, scalar out, weight 1."""

from segkd_distill.losses.channel_wise import channel_wise
from segkd_distill.losses.logit_kd import logit_kd

__all__ = ["channel_wise", "logit_kd"]
