from __future__ import annotations

from pathlib import Path

import pytest

from segkd.data.base import LabelSpace
from segkd.errors import BackendMissing, SegkdError
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.zoo import build_model
from segkd_export.sources import ExportRequest, gather
from tests.export.conftest import ODD_SIZE, TINY, write_run


def test_the_recipe_names_data_and_teacher(workshop: Path) -> None:
    sources = gather(ExportRequest(workshop / "student", reference=2))
    assert sources.imgsz == ODD_SIZE
    assert sources.frames.images.shape == (2, *ODD_SIZE, 3)
    assert sources.teacher is not None
    assert not sources.teacher.training


def test_flags_win_over_the_recipe(workshop: Path) -> None:
    request = ExportRequest(workshop / "student", reference=1, imgsz=(32, 48), with_teacher=False)
    sources = gather(request)
    assert sources.imgsz == (32, 48)
    assert sources.teacher is None


def test_a_run_without_teacher_has_none(workshop: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1)
    assert gather(ExportRequest(run, data=f"cityscapes:{workshop / 'data'}", reference=1)).teacher is None


def test_a_run_without_data_asks_for_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1)
    with pytest.raises(SegkdError, match="name it with --data"):
        gather(ExportRequest(run))


def test_a_teacher_that_is_gone_asks_for_a_decision(workshop: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 1, f"schema: 1\nteacher: {{model: '{tmp_path}/gone'}}\n")
    request = ExportRequest(run, data=f"cityscapes:{workshop / 'data'}", reference=1)
    with pytest.raises(SegkdError, match=r"gone.*--teacher RUN.*--no-teacher"):
        gather(request)


def test_data_of_other_classes_is_refused(workshop: Path, tmp_path: Path) -> None:
    space = LabelSpace(("sky", "ground"), ((0, 0, 0), (1, 1, 1)))
    save_model(tmp_path / "run", build_model(TINY, 2), TINY, space, ODD_SIZE)
    with pytest.raises(SegkdError, match=r"has 19 classes .* the run 2 \(sky, ground"):
        gather(ExportRequest(tmp_path / "run", data=f"cityscapes:{workshop / 'data'}"))


@pytest.mark.parametrize(
    ("precisions", "message"),
    [
        (("fp3",), "unknown precision 'fp3'; did you mean 'fp32'"),
        ((), "no precision was named"),
    ],
)
def test_precisions(workshop: Path, precisions: tuple[str, ...], message: str) -> None:
    with pytest.raises(SegkdError, match=message):
        gather(ExportRequest(workshop / "student", precisions=precisions))


def test_a_device_that_is_not_there(workshop: Path) -> None:
    with pytest.raises(BackendMissing, match=r"CUDA|cuda"):
        gather(ExportRequest(workshop / "student", device="cuda:99"))
