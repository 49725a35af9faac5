"""What every loss must hold: subclass ``BaseLossTester`` and give ``loss``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segkd.errors import SegkdError


class BaseLossTester:
    """Inherited tests of a loss of one student's and one teacher's tensor.

    Attributes:
        shape: of the student's tensor.
        teacher_shape: of the teacher's, where it may differ.
        zero_at_identity: value and gradient vanish where student and teacher agree.
        atol_at_identity: how near to 0.
        extremes: magnitude of the finite inputs that must give a finite value and gradient.
        same_shape: whether tensors of different shapes are refused.
        rtol_half: of bfloat16 inputs against the same numbers in float32.
    """

    shape: tuple[int, ...] = (2, 5, 4, 6)
    teacher_shape: tuple[int, ...] | None = None
    zero_at_identity = True
    atol_at_identity = 0.0
    extremes = 200.0
    same_shape = True
    rtol_half = 1e-5

    def loss(self, s: Tensor, t: Tensor) -> Tensor:
        raise NotImplementedError

    def inputs(self, dtype: torch.dtype = torch.float64, scale: float = 3.0) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(3)
        s = torch.randn(self.shape, generator=rng, dtype=torch.float64) * scale
        t = torch.randn(self.teacher_shape or self.shape, generator=rng, dtype=torch.float64) * scale
        return s.to(dtype).requires_grad_(), t.to(dtype)

    def test_scalar_of_the_input_dtype(self) -> None:
        for dtype in (torch.float32, torch.float64):
            loss = self.loss(*self.inputs(dtype))
            assert loss.shape == () and loss.dtype == dtype and loss > 0

    def test_identity(self) -> None:
        if not self.zero_at_identity:
            pytest.skip("not zero at identity")
        s, _ = self.inputs()
        loss = self.loss(s, s.detach().clone())
        loss.backward()
        assert s.grad is not None
        assert abs(loss.item()) <= self.atol_at_identity
        assert s.grad.abs().max().item() <= self.atol_at_identity

    def test_half_precision_is_computed_in_float32(self) -> None:
        for dtype in (torch.bfloat16, torch.float16):
            s, t = self.inputs(dtype)
            loss = self.loss(s, t)
            loss.backward()
            assert loss.dtype == torch.float32
            assert s.grad is not None and s.grad.dtype == dtype and s.grad.isfinite().all()
            torch.testing.assert_close(loss, self.loss(s.float(), t.float()), rtol=self.rtol_half, atol=0)

    def test_extreme_values(self) -> None:
        for dtype in (torch.float32, torch.float64):
            s, t = (x.detach().sign() * self.extremes for x in self.inputs(dtype))
            for student, teacher in ((s, t), (s, -s), (s, s.clone()), (torch.zeros_like(s), t)):
                if teacher.shape != t.shape:
                    continue
                student = student.clone().requires_grad_()
                loss = self.loss(student, teacher)
                loss.backward()
                assert loss.isfinite(), loss
                assert student.grad is not None and student.grad.isfinite().all()

    def test_gradient(self) -> None:
        s, t = self.inputs(scale=1.0)
        assert torch.autograd.gradcheck(lambda x: self.loss(x, t), (s,), eps=1e-6, atol=1e-7, rtol=1e-5)

    def test_teacher_gets_no_gradient(self) -> None:
        s, t = self.inputs()
        t.requires_grad_()
        self.loss(s, t).backward()
        assert t.grad is None
        assert s.grad is not None and s.grad.abs().sum() > 0

    def test_inputs_stay_as_they_are(self) -> None:
        s, t = self.inputs()
        before = s.detach().clone(), t.clone()
        self.loss(s, t).backward()
        assert torch.equal(s, before[0]) and torch.equal(t, before[1])

    def test_memory_format_does_not_matter(self) -> None:
        s, t = self.inputs()
        expected = self.loss(s, t)
        if s.dim() != 4:
            pytest.skip("not an image")
        channels_last = [x.detach().to(memory_format=torch.channels_last) for x in (s, t)]
        torch.testing.assert_close(self.loss(*channels_last), expected.detach(), rtol=1e-12, atol=0)
        transposed = [x.detach().transpose(2, 3).contiguous().transpose(2, 3) for x in (s, t)]
        torch.testing.assert_close(self.loss(*transposed), expected.detach(), rtol=1e-12, atol=0)

    def test_other_shape_is_refused(self) -> None:
        if not self.same_shape:
            pytest.skip("shapes may differ")
        s, t = self.inputs()
        with pytest.raises(SegkdError, match="one shape"):
            self.loss(s, t[:, :1])
