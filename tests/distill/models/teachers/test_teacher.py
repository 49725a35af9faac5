from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError
from segkd_distill.models.checkpoints import save_tensors
from segkd_distill.models.saved_model import save_model
from segkd_distill.models.teachers.mapped_teacher import MappedTeacher
from segkd_distill.models.teachers.teacher import load_teacher
from segkd_distill.models.zoo import MODELS, build_model
from tests.distill.models.base import small_image

NAME = "quickstart-mv2"


def labels(*names: str) -> LabelSpace:
    return LabelSpace(names, tuple((i, i, i) for i in range(len(names))))


ROAD_SKY_CAR = labels("road", "sky", "car")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(tmp_path / "run", build_model(NAME, 3), MODELS[NAME], ROAD_SKY_CAR, (128, 256))
    return tmp_path / "run"


def test_run_folder_gives_a_frozen_network(run: Path) -> None:
    teacher = load_teacher(run, None, ROAD_SKY_CAR)
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    torch.manual_seed(0)
    expected = build_model(NAME, 3).eval()(small_image()).logits
    assert torch.equal(teacher(small_image()).logits, expected)
    assert not teacher(small_image()).logits.requires_grad


def test_name_with_weights(run: Path, tmp_path: Path) -> None:
    teacher = load_teacher(NAME, run / "student.safetensors", ROAD_SKY_CAR)
    expected = load_teacher(str(run), None, ROAD_SKY_CAR)
    assert torch.equal(teacher(small_image()).logits, expected(small_image()).logits)


def test_weights_without_the_auxiliary_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    monkeypatch.setitem(MODELS, NAME, dataclasses.replace(MODELS[NAME], auxiliary_channels=8))
    state = build_model(NAME, 3).state_dict()
    body = {name: tensor for name, tensor in state.items() if not name.startswith("auxiliary_head.")}
    assert len(body) < len(state)
    save_tensors(tmp_path / "w.safetensors", body)
    assert load_teacher(NAME, tmp_path / "w.safetensors", ROAD_SKY_CAR).auxiliary_head is None
    save_tensors(tmp_path / "full.safetensors", state)
    assert load_teacher(NAME, tmp_path / "full.safetensors", ROAD_SKY_CAR).auxiliary_head is not None


def test_name_without_weights_is_refused() -> None:
    with pytest.raises(SegkdError, match=f"teacher {NAME} needs weights: nothing falls back to random weights"):
        load_teacher(NAME, None, ROAD_SKY_CAR)


def test_a_weights_file_says_which_networks_it_fits(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes((run / "student.safetensors").read_bytes())
    said = rf"w\.safetensors is a weights file: .*--teacher MODEL --teacher-weights {file} \(it fits {NAME}\)"
    with pytest.raises(SegkdError, match=said):
        load_teacher(file, None, ROAD_SKY_CAR)


def test_other_number_of_classes(run: Path) -> None:
    two = labels("road", "sky")
    with pytest.raises(SegkdError, match="has 3 classes, the data 2"):
        load_teacher(run, None, two)
    with pytest.raises(SegkdError, match=rf"teacher {NAME} .*has 3 classes, the data 2"):
        load_teacher(NAME, run / "student.safetensors", two)


def test_other_class_names(run: Path) -> None:
    with pytest.raises(
        SegkdError, match=r"run has 3 classes, the data 3: the data have no sky; the teacher has no cloud"
    ):
        load_teacher(run, None, labels("road", "cloud", "car"))


def test_another_order_is_mapped_and_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = load_teacher(run, None, ROAD_SKY_CAR)
    assert capsys.readouterr().err == ""
    teacher = load_teacher(run, None, labels("car", "road", "sky"))
    assert isinstance(teacher, MappedTeacher)
    shown = capsys.readouterr().err
    assert f"teacher {run}: classes of the data <- classes of the teacher" in shown and "  road  <- road" in shown
    assert torch.equal(teacher(small_image()).logits, plain(small_image()).logits[:, [2, 0, 1]])
    assert not any(p.requires_grad for p in teacher.parameters()) and not any(m.training for m in teacher.modules())


def test_a_class_map_that_renames_shows_its_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = load_teacher(run, None, labels("road", "air", "car"), {"sky": "air"})
    assert not isinstance(teacher, MappedTeacher) and "  air   <- sky" in capsys.readouterr().err


def test_a_class_map_merges_and_leaves_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"road": "ground", "car": "ground", "sky": None}
    with pytest.raises(SegkdError, match="the teacher has no air"):
        load_teacher(run, None, labels("ground", "air"), given)
    teacher = load_teacher(run, None, labels("ground"), given)
    assert teacher(small_image()).logits.shape[1] == 1
    assert "ground  <- road + car" in capsys.readouterr().err


def test_classes_without_names(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bare weights file tells how many classes there are, not which."""
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes((run / "student.safetensors").read_bytes())
    plain = load_teacher(NAME, bare, labels("x", "y", "z"))
    assert "its classes have no names and are taken in the data's order" in capsys.readouterr().err
    with pytest.raises(SegkdError, match=r"has 3 classes, the data 2, and its class names are not known"):
        load_teacher(NAME, bare, labels("x", "y"))
    mapped = load_teacher(NAME, bare, labels("x", "y"), {"2": "x", "0": "y", "1": None})
    assert torch.equal(mapped(small_image()).logits, plain(small_image()).logits[:, [2, 0]])


def test_a_backbone_alone_cannot_teach(tmp_path: Path) -> None:
    state = build_model(NAME, 3).state_dict()
    part = {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}
    save_tensors(tmp_path / "b.safetensors", part)
    with pytest.raises(SegkdError, match="holds no classifier"):
        load_teacher(NAME, tmp_path / "b.safetensors", ROAD_SKY_CAR)


def test_weights_of_another_architecture(run: Path) -> None:
    with pytest.raises(SegkdError, match=r"teacher quickstart-r18: .* the checkpoint of another architecture"):
        load_teacher("quickstart-r18", run / "student.safetensors", ROAD_SKY_CAR)


def test_bad_places(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="is a run folder and has its own weights; leave out"):
        load_teacher(run, run / "student.safetensors", ROAD_SKY_CAR)
    with pytest.raises(SegkdError, match=r"a folder without model\.json"):
        load_teacher(tmp_path, None, ROAD_SKY_CAR)
    with pytest.raises(SegkdError, match=r"no run folder \./nowhere"):
        load_teacher("./nowhere", None, ROAD_SKY_CAR)
    with pytest.raises(SegkdError, match="unknown teacher 'quickstart-mv3'; did you mean 'quickstart-mv2'"):
        load_teacher("quickstart-mv3", None, ROAD_SKY_CAR)
