"""A teacher whose classes have been put into the order of the data's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from segkd_distill.models.network import Network
from segkd_distill.models.output import SegOutput, TapInfo
from segkd_distill.models.teachers.class_map import ClassMap


class MappedTeacher(Network):
    """Reorders, merges and leaves out a teacher's classes; its taps stay as they are.

    A class that several teacher classes make up gets ``logsumexp`` of their logits, so that its probability is the sum
    of theirs: ``softmax(mapped)[k] = sum of softmax(logits)[group k] / sum over all groups``. Classes that are left
    out are simply missing, and the softmax shares their probability out among the rest in proportion. A class that one
    teacher class makes up keeps its very logit, so methods that compare logits and not probabilities see the teacher's
    own scale.

    Args:
        teacher: the network.
        class_map: for each class of the data the teacher's channels.

    Attributes:
        teacher: the network.
        class_map: for each class of the data the teacher's channels.
    """

    _order: Tensor

    def __init__(self, teacher: Network, class_map: ClassMap) -> None:
        super().__init__()
        self.teacher = teacher
        self.class_map = class_map
        self.num_classes = len(class_map.groups)
        self.align_corners = teacher.align_corners
        self.register_buffer("mean", teacher.mean.clone(), persistent=False)
        self.register_buffer("std", teacher.std.clone(), persistent=False)
        firsts = torch.tensor([group[0] for group in class_map.groups], device=teacher.mean.device)
        self.register_buffer("_order", firsts, persistent=False)

    def forward(self, image: Tensor, taps: frozenset[str] = frozenset()) -> SegOutput:
        """As the teacher, with the logits of the data's classes, and without auxiliary logits."""
        output: SegOutput = self.teacher(image, taps)
        return SegOutput(self.map_logits(output.logits), None, output.taps)

    def input_size(self) -> tuple[int | None, int | None] | None:
        """The teacher's."""
        return self.teacher.input_size()

    def check_size(self, size: Sequence[int]) -> None:
        """Refuse what the teacher refuses."""
        self.teacher.check_size(size)

    def to_scores(self, logits: Tensor) -> Tensor:
        """What the teacher resizes and averages."""
        return self.teacher.to_scores(logits)

    def from_scores(self, scores: Tensor) -> Tensor:
        """The inverse of :meth:`to_scores`."""
        return self.teacher.from_scores(scores)

    def map_logits(self, logits: Tensor) -> Tensor:
        """Logits (N, teacher's classes, h, w) as (N, data's classes, h, w), of the same dtype."""
        mapped = logits.index_select(1, self._order)
        for own, group in enumerate(self.class_map.groups):
            if len(group) > 1:
                mapped[:, own] = torch.logsumexp(logits[:, list(group)], 1)
        return mapped

    def tap_info(self) -> TapInfo:
        """The teacher's, with the data's number of classes."""
        return replace(self.teacher.tap_info(), num_classes=self.num_classes)

    def upsample(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        """As the teacher does."""
        return self.teacher.upsample(logits, size)
