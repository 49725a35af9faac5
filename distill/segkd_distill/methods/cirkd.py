"""Cross-image relational knowledge distillation, CIRKD (Yang et al., CVPR 2022)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.cross_image_relation import cross_image_relation
from segkd_distill.losses.memory_contrast import memory_contrast
from segkd_distill.losses.unit_vectors import unit_vectors
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to, valid_pixels
from segkd_distill.methods.memory_bank import MemoryBank, class_means, class_pixels
from segkd_distill.methods.values import at_least_zero, positive, whole_number
from segkd_distill.models.output import SegOutput, TapInfo

PAPER_WEIGHTS = {"kd_weight": 1.0, "mini_batch_weight": 1.0, "pixel_weight": 0.1, "region_weight": 0.1}


class CrossImageRelationalDistillation(Method):
    """Similarities of pixels across images; terms ``logits``, ``mini_batch``, ``pixel_memory``, ``region_memory``.

    All terms but ``logits`` compare the tap ``decoder``, the feature before the classifier. With unit vectors f_s, f_t:

    - ``logits``: KD of the logits at T = 1, which the paper's total contains.
    - ``mini_batch``: KL between the teacher's and the student's softmax(f(r) . f(c) / temperature) over the pixels c of
      image j, for every pixel r of image i and every ordered pair of images; see ``losses.cross_image_relation``.
    - ``pixel_memory``, ``region_memory``: the same between a pixel and keys from two banks of teacher embeddings, those
      of pixels and those of class regions; the student's pixel passes a projection head first; see
      ``losses.memory_contrast``.

    Source: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022;
    winycg/CIRKD at dab64db (``losses/cirkd_mini_batch.py``, ``losses/cirkd_memory.py``), total and weights as in its
    first version (2d8ad0f). Weights: the defaults; VOC ``pixel_weight=0.01, region_weight=0.01`` (the author, issue 8:
    the defaults cost accuracy there).

    Memory: before the loss of an optimiser step, the labelled rows of its first batch are stored: the mean embedding of
    each class in each image, and up to ``pixels_per_class`` pixels of each. Further batches of the step (gradient
    accumulation) and a method in evaluation mode store nothing. In a distributed run every process stores what all of
    them have, in the order of the ranks. The banks are buffers of num_classes * size * (teacher's width) numbers: 0.86
    GB for Cityscapes at width 512 with the published sizes.

    Rows without labels: all terms act on them, for a relation to keys needs no label; only the banks are filled from
    labelled rows alone. Hence ``needs.labels`` is False although labels must be given while a bank is on.

    Differs from the original:
        - The pixel bank stores pixels of the class. The original (``losses/cirkd_memory.py`` at dab64db) permutes the n
          pixels of a class, but takes the permuted numbers as positions in the image, so that the rings get the image's
          first n pixels whatever their class: ``legacy_pixel_enqueue=True``.
        - Each process chooses pixels from its own rows, and the choice is gathered; the original gathers all features,
          and each process stores a random choice of its own.
        - It runs without a process group, on any device; the head has ordinary batch normalisation.
        - The mini-batch term computes blocks of similarities twice instead of keeping them all.
        - ``mask_ignore``, off by default: the originals of ``logits`` and ``mini_batch`` let ignored pixels count.
          With it, the head and its batch statistics see the remaining pixels only.
        - A teacher on another grid is resized to the student's.
        - ``pool`` averages the features of all relations; the first version (2d8ad0f, ``pooling``) knew that for the
          mini-batch term and 2 x 2, off by default. The mini-batch term costs the fourth power of the grid's side: the
          published networks have stride 8, one with ``decoder`` at stride 4 needs ``pool=2`` to be as cheap.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        kd_weight: factor on ``logits``; 0 leaves the term out, as with the other weights.
        mini_batch_weight: factor on ``mini_batch``.
        pixel_weight: factor on ``pixel_memory``.
        region_weight: factor on ``region_memory``.
        kd_temperature: of ``logits``.
        temperature: of the similarities.
        pixel_memory_size: slots per class of the pixel bank, at least ``pixels_per_class``.
        region_memory_size: slots per class of the region bank.
        pixel_contrast_size: about as many keys of the pixel bank take part in a step: ``// num_classes + 1`` per class,
            from the same random slots for each class.
        region_contrast_size: the same of the region bank.
        pixels_per_class: pixels that an image adds per class (the original's ``pixel_update_freq``).
        pool: side in cells of the windows over which ``decoder`` is averaged first; 1 leaves it as it is.
        legacy_pixel_enqueue: store the pixels that the original stores.
        mask_ignore: leave out pixels whose label is to be ignored from all terms; rows without labels count in full.

    Raises:
        SegkdError: for a hyper-parameter out of range, or a network without the tap.
    """

    paper: ClassVar[str] = (
        "Yang et al., Cross-Image Relational Knowledge Distillation for Semantic Segmentation, CVPR 2022"
    )
    status: ClassVar[str] = "verified against original values"
    summary: ClassVar[str] = "similarities of pixels across the images of the batch and to two memory banks"
    weights_by_dataset: ClassVar[dict[str, dict[str, float]]] = {
        **{name: PAPER_WEIGHTS for name in ("cityscapes", "camvid", "ade20k", "coco_stuff")},
        "voc": {**PAPER_WEIGHTS, "pixel_weight": 0.01, "region_weight": 0.01},
    }

    stored_step: Tensor

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        kd_weight: float = PAPER_WEIGHTS["kd_weight"],
        mini_batch_weight: float = PAPER_WEIGHTS["mini_batch_weight"],
        pixel_weight: float = PAPER_WEIGHTS["pixel_weight"],
        region_weight: float = PAPER_WEIGHTS["region_weight"],
        kd_temperature: float = 1.0,
        temperature: float = 0.1,
        pixel_memory_size: int = 20000,
        region_memory_size: int = 2000,
        pixel_contrast_size: int = 4096,
        region_contrast_size: int = 1024,
        pixels_per_class: int = 16,
        pool: int = 1,
        legacy_pixel_enqueue: bool = False,
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        self.kd_weight = at_least_zero("kd_weight", kd_weight)
        self.mini_batch_weight = at_least_zero("mini_batch_weight", mini_batch_weight)
        self.pixel_weight = at_least_zero("pixel_weight", pixel_weight)
        self.region_weight = at_least_zero("region_weight", region_weight)
        self.kd_temperature = positive("kd_temperature", kd_temperature)
        self.temperature = positive("temperature", temperature)
        self.pixels_per_class = whole_number("pixels_per_class", pixels_per_class)
        self.pool = whole_number("pool", pool)
        self.num_classes = num_classes
        self.pixel_keys = whole_number("pixel_contrast_size", pixel_contrast_size) // num_classes + 1
        self.region_keys = whole_number("region_contrast_size", region_contrast_size) // num_classes + 1
        self.legacy_pixel_enqueue = legacy_pixel_enqueue
        self.mask_ignore = mask_ignore
        whole_number("region_memory_size", region_memory_size)
        if whole_number("pixel_memory_size", pixel_memory_size) < pixels_per_class:
            raise SegkdError(
                f"pixel_memory_size must be at least pixels_per_class, got {pixel_memory_size} < {pixels_per_class}"
            )

        taps = frozenset({"decoder"} if self.mini_batch_weight or self._remembers else ())
        self.needs = Needs.of_both(taps)

        # The projection and the memories, where a term needs them.
        self.head: nn.Module = nn.Identity()
        self.pixel_bank: MemoryBank | None = None
        self.region_bank: MemoryBank | None = None
        if self._remembers:
            narrow, width = self.needs.widths("cirkd", "decoder", student, teacher)
            self.head = _projection_head(narrow, width)
            if self.pixel_weight:
                self.pixel_bank = MemoryBank(num_classes, pixel_memory_size, width)
            if self.region_weight:
                self.region_bank = MemoryBank(num_classes, region_memory_size, width)
            self.register_buffer("stored_step", torch.tensor(-1))
        self.declares = Declares(
            zero_at_identity=not self._remembers,
            masks_ignore=mask_ignore and not (self.pixel_weight and legacy_pixel_enqueue),
            batch_symmetric=not self._remembers,
        )

    @property
    def _remembers(self) -> bool:
        return bool(self.pixel_weight or self.region_weight)

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The terms whose weight is not 0.

        Raises:
            SegkdError: if there are no labels, but a bank or ``mask_ignore`` is on.
        """
        terms = {}
        if self.kd_weight:
            loss = self._logit_kd((student, teacher), labels, ctx, temperature=self.kd_temperature)
            terms["logits"] = self.kd_weight * loss
        if not self.needs.student_taps:
            return terms

        s = student.taps["decoder"]
        t = resize_to(teacher.taps["decoder"], s.shape[-2:]).detach()
        if self.pool > 1:
            s, t = (F.avg_pool2d(feature, self.pool, ceil_mode=True) for feature in (s, t))
        if self.mini_batch_weight:
            mask = self._mask(labels, ctx, s.shape[-2:])
            loss = cross_image_relation(s, t, temperature=self.temperature, mask=mask)
            terms["mini_batch"] = self.mini_batch_weight * loss

        if self._remembers:
            if labels is None:
                raise SegkdError(
                    "cirkd's memory needs the labels of the batch; without: pixel_weight=0, region_weight=0"
                )
            terms.update(self._memory_terms(s, t, labels, ctx))
        return terms

    def _memory_terms(self, s: Tensor, t: Tensor, labels: Tensor, ctx: StepContext) -> dict[str, Tensor]:
        """Store the teacher's embeddings, then relate the anchors to keys of both banks."""
        with torch.no_grad():
            embeddings = unit_vectors(t.movedim(1, -1).contiguous(), -1)
            if self.training and int(self.stored_step) != ctx.step:
                self._store(embeddings, _labels_on_grid(labels, ctx, t.shape[-2:]))
                self.stored_step.fill_(ctx.step)
        anchors = valid_pixels(labels, ctx, s.shape[-2:])
        of_s = unit_vectors(self._project(s, anchors))
        of_t = embeddings[anchors]
        terms = {}
        for name, bank, count, weight in (
            ("pixel_memory", self.pixel_bank, self.pixel_keys, self.pixel_weight),
            ("region_memory", self.region_bank, self.region_keys, self.region_weight),
        ):
            if bank is not None:
                loss = memory_contrast(of_s, of_t, bank.sample(count), temperature=self.temperature)
                terms[name] = weight * loss
        return terms

    def _store(self, embeddings: Tensor, labels: Tensor) -> None:
        if self.region_bank is not None:
            self.region_bank.enqueue(class_means(embeddings, labels, self.num_classes))
        if self.pixel_bank is not None:
            pixels = class_pixels(
                embeddings,
                labels,
                self.num_classes,
                count=self.pixels_per_class,
                legacy_positions=self.legacy_pixel_enqueue,
            )
            self.pixel_bank.enqueue(pixels)

    def _project(self, s: Tensor, anchors: Tensor) -> Tensor:
        """(A, d): the anchors behind the head."""
        if self.mask_ignore and int(anchors.sum()) > 1:  # batch statistics need two
            pixels = s.movedim(1, -1)[anchors]
            projected: Tensor = self.head(pixels.T[None, :, :, None])
            return projected[0, :, :, 0].T
        projected = self.head(s)
        return projected.movedim(1, -1)[anchors]


def _projection_head(student_width: int, teacher_width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(student_width, teacher_width, 1, bias=False),
        nn.BatchNorm2d(teacher_width),
        nn.ReLU(inplace=True),
        nn.Conv2d(teacher_width, teacher_width, 1, bias=False),
    )


def _labels_on_grid(labels: Tensor, ctx: StepContext, size: torch.Size) -> Tensor:
    """(N, height, width) int64: nearest-neighbour samples; -1 where there is no class."""
    known = (labels != ctx.ignore_index) & ctx.labelled.view(-1, 1, 1)
    sampled = F.interpolate(torch.where(known, labels, -1)[:, None].float(), size=size, mode="nearest")
    return sampled[:, 0].long()
