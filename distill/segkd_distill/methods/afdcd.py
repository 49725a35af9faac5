"""Augmentation-free dense contrastive distillation, Af-DCD (Fan et al., NeurIPS 2023)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.losses.masked_generator import MaskedGenerator, centre_keep, masked_reconstruction, random_keep
from segkd_distill.losses.omni_contrast import check_settings, omni_contrast
from segkd_distill.methods.base import Declares, Group, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, one_of, positive
from segkd_distill.models.output import TAPS, SegOutput, TapInfo

MASKS = ("random", "centre")


class AugmentationFreeContrast(Method):
    """Masked reconstruction of a feature, contrast within its patches, and KD of the logits.

    The terms are ``logits``, ``reconstruction`` and ``contrast``.

    The student's feature is brought to the teacher's width, most of its positions are dropped, and a generator makes
    a feature of the rest. That feature must equal the teacher's (``losses.masked_generator``), and each of its tokens
    must be nearer to the teacher's token of the same place and channel group than to others of the patch
    (``losses.omni_contrast``).

    Source: Fan et al., "Augmentation-free Dense Contrastive Knowledge Distillation for Efficient Semantic
    Segmentation", NeurIPS 2023; OSVAI/Af-DCD ``losses/ocmgd.py`` and ``train_ocmgd.py`` at 5b086a7.

    Differs from the original:
        - Equal widths need no alignment, and the groups need not divide the teacher's width; the original fails there.
        - Any grid works (``edges="pad"``). The original needs a multiple of ``pool * patch``; only for CamVid it cuts
          45x45 down to 44x44 without pooling: ``edges="crop", pool=0``.
        - Masks are booleans of their own. In the published Cityscapes script they are options that the parser refuses
          (``--rand_mask False --enhance_projector True`` for ``--rand-mask``, ``--enhance-projector``, and of a type
          that reads False as True), so that the setting behind the 77.03 mIoU is uncertain: perhaps
          ``mask="centre", enhanced=True``.
        - ``negatives``: the default is the code's; the paper's figure shows ``all``.
        - ``mask_ignore``, and a teacher on another grid, which is resized to the student's.
        - On a CPU, what a random mask drops costs nothing in the first two convolutions; the value is the same.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        kd_weight: factor on the term ``logits``, see ``weights_by_dataset``; the default is Cityscapes'.
        reconstruction_weight: factor on the term ``reconstruction``, a sum over channels and positions.
        contrast_weight: factor on the term ``contrast``.
        kd_temperature: of both softmaxes of the logits.
        tap: the feature; the original's is the backbone's last stage.
        mask: ``random``, new in every step, or ``centre``, the middle third in both directions.
        mask_ratio: share of the positions that a random mask drops, 0..1.
        enhanced: the generator with two branches, twice the weights.
        temperature: of the contrast.
        patch: side of a patch in pooled positions.
        groups: channel groups of the contrast, at most as many as the teacher's channels.
        pool: side of the max pooling before the contrast, 0 for none.
        negatives: ``other_group``, ``all``, or one half of the idea alone: ``spatial`` (other positions, same group) or
            ``channel`` (other groups, same position); see ``losses.omni_contrast``.
        edges: ``pad`` or ``crop``.
        max_norm: limit of the gradient's norm over alignment and generator together.
        mask_ignore: leave out positions whose label is to be ignored, the generator does not see them either; rows
            without labels count in full.

    Raises:
        SegkdError: for a hyper-parameter out of range, more groups than the teacher has channels, or a tap that one of
            the networks lacks.
    """

    paper: ClassVar[str] = "Fan et al., Augmentation-free Dense Contrastive Knowledge Distillation, NeurIPS 2023"
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "masked reconstruction of a feature, and contrast across positions and channel groups"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {
        "cityscapes": {"kd_weight": 1.0, "reconstruction_weight": 2e-6, "contrast_weight": 5e-3},
        "voc": {"kd_weight": 1.0, "reconstruction_weight": 1e-6, "contrast_weight": 5e-3},
        "camvid": {"kd_weight": 1.0, "reconstruction_weight": 8e-6, "contrast_weight": 1e-2},
        "ade20k": {"kd_weight": 0.5, "reconstruction_weight": 1e-6, "contrast_weight": 4e-2},
        "coco_stuff": {"kd_weight": 0.5, "reconstruction_weight": 5e-6, "contrast_weight": 5e-3},
    }

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        kd_weight: float = 1.0,
        reconstruction_weight: float = 2e-6,
        contrast_weight: float = 5e-3,
        kd_temperature: float = 1.0,
        tap: str = "c4",
        mask: str = "random",
        mask_ratio: float = 0.75,
        enhanced: bool = False,
        temperature: float = 0.07,
        patch: int = 4,
        groups: int = 16,
        pool: int = 4,
        negatives: str = "other_group",
        edges: str = "pad",
        max_norm: float = 15.0,
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        for kind, value, known in (("tap", tap, TAPS), ("mask", mask, MASKS)):
            one_of(kind, value, known)
        self.kd_weight = at_least_zero("kd_weight", kd_weight)
        self.reconstruction_weight = at_least_zero("reconstruction_weight", reconstruction_weight)
        self.contrast_weight = at_least_zero("contrast_weight", contrast_weight)
        self.kd_temperature = positive("kd_temperature", kd_temperature)
        self.mask_ratio = at_least_zero("mask_ratio", mask_ratio)
        if self.mask_ratio > 1:
            raise SegkdError(f"mask_ratio must be a share of at most 1, got {mask_ratio!r}")
        self.max_norm = positive("max_norm", max_norm)
        self.temperature = positive("temperature", temperature)
        self.patch, self.groups, self.pool, self.negatives, self.edges = patch, groups, pool, negatives, edges

        self.tap = tap
        self.random_mask = mask == "random"
        self.mask_ignore = mask_ignore
        self.needs = Needs.of_both({tap})
        narrow, width = self.needs.widths("afdcd", tap, student, teacher)
        check_settings(width, patch=patch, groups=groups, pool=pool, negatives=negatives, edges=edges)
        # The noise of a random mask goes by the row.
        self.declares = Declares(False, masks_ignore=mask_ignore, batch_symmetric=not self.random_mask)
        self.generator = MaskedGenerator(narrow, width, enhanced=enhanced)

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The terms ``logits``, ``reconstruction`` and ``contrast``."""
        s = student.taps[self.tap]
        size = s.shape[-2:]
        t = resize_to(teacher.taps[self.tap], size)
        valid = self._mask(labels, ctx, size)

        keep = self._keep(s)
        generated = self.generator(s, keep if valid is None else keep & valid[:, None])
        contrast = omni_contrast(
            generated,
            t,
            temperature=self.temperature,
            patch=self.patch,
            groups=self.groups,
            pool=self.pool,
            negatives=self.negatives,
            edges=self.edges,
            mask=valid,
        )

        kd = self._logit_kd((student, teacher), labels, ctx, temperature=self.kd_temperature)
        return {
            "logits": self.kd_weight * kd,
            "reconstruction": self.reconstruction_weight * masked_reconstruction(generated, t, mask=valid),
            "contrast": self.contrast_weight * contrast,
        }

    def parameter_groups(self) -> list[Group]:
        """One group with alignment and generator, whose gradient is clipped."""
        return [Group("generator", list(self.generator.parameters()), max_norm=self.max_norm)]

    def _keep(self, s: Tensor) -> Tensor:
        height, width = s.shape[-2:]
        if not self.random_mask:
            return centre_keep(height, width, s.device)
        return random_keep(torch.rand(len(s), 1, height, width, device=s.device), self.mask_ratio)
