"""The connector: brings a student's feature to the teacher's width."""

from __future__ import annotations

from torch import Tensor, nn


class Connector(nn.Module):
    """1x1 convolution without bias and BatchNorm, also where the widths are equal.

    Source: AmirMansurian/AttnFD ``distiller.py`` at f090bbe; He-normal weights (fan out).

    Args:
        student_width: channels that come in.
        teacher_width: channels that go out.
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(student_width, teacher_width, 1, bias=False)
        self.bn = nn.BatchNorm2d(teacher_width)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, student_width, h, w) -> (N, teacher_width, h, w)."""
        connected: Tensor = self.bn(self.conv(x))
        return connected
