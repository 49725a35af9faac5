"""`segkd distill` with a method of your own: KD on the pixels where the teacher is sure.

    python examples/method_of_your_own.py --data folder:my_data --teacher runs/teacher --method sure --out runs/sure

Every option of `segkd distill` works, as do `--method sure+cwd`, `{sure: {above: 0.8}}` in a recipe, and `--resume`.
CONTRIBUTING.md says how a method comes into segkd itself.
"""

from __future__ import annotations

import sys
from typing import ClassVar

from torch import Tensor

from segkd.cli import main
from segkd_distill.losses import logit_kd
from segkd_distill.methods import METHODS
from segkd_distill.methods.base import Declares, Method, StepContext, resize_to
from segkd_distill.methods.values import at_least_zero
from segkd_distill.models.output import SegOutput, TapInfo


class SurePixels(Method):
    """KD where the teacher's highest probability is above a bound; term ``logits``.

    Args:
        student: taps of the student.
        teacher: taps of the teacher.
        num_classes: classes of the label space.
        above: the bound, 0..1.
    """

    paper: ClassVar[str] = "none: an example"
    status: ClassVar[str] = "reconstructed"
    summary: ClassVar[str] = "class distribution of the pixels where the teacher is sure"

    def __init__(self, student: TapInfo, teacher: TapInfo, num_classes: int, *, above: float = 0.5) -> None:
        super().__init__()
        self.above = at_least_zero("above", above)
        self.declares = Declares(zero_at_identity=True)

    def forward(
        self, student: SegOutput, teacher: SegOutput, labels: Tensor | None, ctx: StepContext
    ) -> dict[str, Tensor]:
        """The term ``logits``."""
        lesson = resize_to(teacher.logits, student.logits.shape[-2:])  # (N, K, h, w)
        sure = lesson.softmax(1).amax(1) > self.above  # (N, h, w)
        return {"logits": logit_kd(student.logits, lesson, mask=sure)}


# The table of methods: a name, and where its class is.
METHODS["sure"] = f"{__name__}:{SurePixels.__name__}"

if __name__ == "__main__":
    main(["distill", *sys.argv[1:]])
