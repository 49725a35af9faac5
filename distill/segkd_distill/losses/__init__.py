"""The tensor formulas of distillation, one file each: tensors in, scalar out, weight 1."""

from segkd_distill.losses.attention_feature import attention_feature
from segkd_distill.losses.attention_transfer import attention_transfer
from segkd_distill.losses.body_kd import body_kd
from segkd_distill.losses.category_similarity import category_similarity
from segkd_distill.losses.channel_wise import channel_wise
from segkd_distill.losses.class_edges import class_edges
from segkd_distill.losses.cross_image_relation import cross_image_relation
from segkd_distill.losses.edge_kd import edge_kd
from segkd_distill.losses.hint import hint
from segkd_distill.losses.intra_class_variation import intra_class_variation
from segkd_distill.losses.logit_kd import logit_kd
from segkd_distill.losses.memory_contrast import memory_contrast
from segkd_distill.losses.omni_contrast import omni_contrast
from segkd_distill.losses.pairwise_affinity import pairwise_affinity
from segkd_distill.losses.pixel_cross_entropy import pixel_cross_entropy
from segkd_distill.losses.residual_attention import residual_attention
from segkd_distill.losses.self_relation import self_relation
from segkd_distill.losses.semantic_boundary import semantic_boundary
from segkd_distill.losses.unit_vectors import unit_vectors

__all__ = [
    "attention_feature",
    "attention_transfer",
    "body_kd",
    "category_similarity",
    "channel_wise",
    "class_edges",
    "cross_image_relation",
    "edge_kd",
    "hint",
    "intra_class_variation",
    "logit_kd",
    "memory_contrast",
    "omni_contrast",
    "pairwise_affinity",
    "pixel_cross_entropy",
    "residual_attention",
    "self_relation",
    "semantic_boundary",
    "unit_vectors",
]
