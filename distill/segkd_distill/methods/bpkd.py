"""Boundary-privileged knowledge distillation, BPKD (Liu et al., WACV 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from segkd.errors import SegkdError
from segkd_distill.losses.body_kd import body_kd
from segkd_distill.losses.checks import upcast
from segkd_distill.losses.class_edges import class_edges
from segkd_distill.losses.edge_kd import edge_kd
from segkd_distill.methods.base import Declares, Method, Needs, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero, positive
from segkd_distill.models.output import SegOutput, TapInfo


class BoundaryPrivilegedDistillation(Method):
    """Logits on the classes' edges, and shapes away from them; terms ``edge`` and ``body``.

    ``edge_weight * edge_kd(s, t, M) + body_weight * body_kd(s, t, M)`` with ``M = class_edges(labels)``. It reads
    labels and acts on labelled rows only.

    Reconstructed: AkideLiu/BPKD (at 83014fa) holds configurations and weights for evaluation, no training code.
    Confirmed by its figure 3 and the supplement: the edge mask, both branches, the two filters of the edge branch and
    the class weights. Taken from three unofficial implementations, which agree: weights 50 and 20, class weight 2,
    7 px, the reductions; two of the three use T = 1. Not known: class weights and width per data set, and what happens
    to ignored pixels.

    Verified against one of the three, lamnmh05/Semantic-Segmentation-with-Knowledge-Distilled-SegFormer
    ``src/distillers/bpkd.py`` at 25d60b7 (``temperature=4, legacy_validity=True``).

    Differs from it:
        - T = 1 instead of 4.
        - ``legacy_validity``, off by default: it multiplies M once more by the share of pixels of the cell that have a
          class, although ignored pixels are no edges already, and multiplies the body's logits by that share.
        - ``mask_ignore``, off by default: ignored positions still count as body.
        - The mask is made of bits instead of float images, see ``losses.class_edges``, with the same values.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        edge_weight: factor on the term ``edge``.
        body_weight: factor on the term ``body``.
        class_weight: factor on each class's edges: one number, or one per class.
        kernel_px: width of the edges' window in pixels of the labels, odd.
        temperature: of all softmaxes; both losses are multiplied by its square.
        pre_mask: multiply the logits of the edge branch by the mask (the paper's PrM).
        post_mask: weight the edge branch's divergences by the mask (PoM).
        legacy_validity: see above.
        mask_ignore: leave out positions whose label is to be ignored.

    Raises:
        SegkdError: for a hyper-parameter out of range.
    """

    paper: ClassVar[str] = (
        "Liu et al., BPKD: Boundary Privileged Knowledge Distillation for Semantic Segmentation, WACV 2024"
    )
    status: ClassVar[str] = "reconstructed"
    summary: ClassVar[str] = "class distributions on the edges of the labels, and class shapes away from them"

    def __init__(
        self,
        student: TapInfo,
        teacher: TapInfo,
        num_classes: int,
        *,
        edge_weight: float = 50.0,
        body_weight: float = 20.0,
        class_weight: float | Sequence[float] = 2.0,
        kernel_px: int = 7,
        temperature: float = 1.0,
        pre_mask: bool = True,
        post_mask: bool = True,
        legacy_validity: bool = False,
        mask_ignore: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.edge_weight = at_least_zero("edge_weight", edge_weight)
        self.body_weight = at_least_zero("body_weight", body_weight)
        self.class_weight = _class_weights(class_weight, num_classes)
        if isinstance(kernel_px, bool) or not isinstance(kernel_px, int) or kernel_px < 3 or kernel_px % 2 == 0:
            raise SegkdError(f"kernel_px must be an odd number of at least 3, got {kernel_px!r}")
        self.kernel_px = kernel_px
        self.temperature = positive("temperature", temperature)
        self.pre_mask, self.post_mask = pre_mask, post_mask
        self.legacy_validity = legacy_validity
        self.mask_ignore = mask_ignore
        self.needs = Needs(labels=True)
        # The share of pixels with a class is 0 where all are ignored.
        self.declares = Declares(
            zero_at_identity=True, masks_ignore=mask_ignore or legacy_validity, batch_symmetric=True
        )

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The terms ``edge`` and ``body``.

        Raises:
            SegkdError: if there are no labels.
        """
        if labels is None:
            raise SegkdError("bpkd needs the labels of the batch")
        s = upcast(student.logits)
        size = (s.shape[2], s.shape[3])
        t = resize_to(teacher.logits, size)
        valid = self._mask(labels, ctx, size)
        edges = class_edges(labels, self.num_classes, kernel_px=self.kernel_px, size=size, dtype=s.dtype)

        body_s, body_t = s, t
        if self.legacy_validity:
            share = F.adaptive_avg_pool2d((labels != ctx.ignore_index)[:, None].to(s.dtype), size)
            edges, body_s, body_t = edges * share, s * share, t * share

        edge = edge_kd(
            s,
            t,
            edges,
            temperature=self.temperature,
            class_weight=s.new_tensor(self.class_weight),
            pre_mask=self.pre_mask,
            post_mask=self.post_mask,
            valid=valid,
        )
        body = body_kd(body_s, body_t, edges, temperature=self.temperature, valid=valid)
        return {"edge": self.edge_weight * edge, "body": self.body_weight * body}


def _class_weights(given: float | Sequence[float], num_classes: int) -> list[float]:
    """One weight per class.

    Raises:
        SegkdError: for another number of weights, or one that is no number >= 0.
    """
    if isinstance(given, (list, tuple)):
        if len(given) != num_classes:
            raise SegkdError(f"class_weight must be one number or {num_classes}, one per class; got {len(given)}")
        return [at_least_zero(f"class_weight[{c}]", weight) for c, weight in enumerate(given)]
    return [at_least_zero("class_weight", given)] * num_classes  # type: ignore[arg-type]
