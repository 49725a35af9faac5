from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkd.data.readers.cityscapes import LABEL_SPACE
from segkd.errors import SegkdError
from segkd.files import sha256_file
from segkd_distill.models.checkpoints import save_tensors
from segkd_distill.models.zoo import build_model
from segkd_export.artifact import export_artifact
from segkd_export.origin import is_run_name, open_model, open_run
from segkd_export.sources import ExportRequest, gather
from tests.export.conftest import ODD_SIZE, TINY


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "quickstart-r18.safetensors"
    save_tensors(path, build_model("quickstart-r18", 19).state_dict())
    return path


def test_what_names_a_run() -> None:
    names = {"runs/student": True, "hf:nvidia/segformer": False, "quickstart-r18": False, "net.onnx": False}
    assert {name: is_run_name(Path(name)) for name in names} == names


def test_a_run(workshop: Path) -> None:
    origin = open_run(workshop / "student")
    assert (origin.name, origin.imgsz, origin.model) == ("student", ODD_SIZE, TINY.to_dict())
    assert origin.weights_sha256 == sha256_file(workshop / "student" / "student.safetensors")
    assert origin.recipe.data.val == f"cityscapes:{workshop}/data"


def test_a_model_with_weights(weights: Path) -> None:
    origin = open_model("quickstart-r18", weights, LABEL_SPACE)
    assert (origin.name, origin.model, origin.imgsz) == ("quickstart-r18", "quickstart-r18", None)
    assert not origin.network.training
    torch.manual_seed(0)
    expected = build_model("quickstart-r18", 19).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in origin.network.state_dict().items())
    assert origin.weights_sha256 == open_model("quickstart-r18", weights, LABEL_SPACE).weights_sha256
    assert len(origin.weights_sha256) == 64


def test_a_model_is_exported_with_the_classes_of_the_data(workshop: Path, weights: Path) -> None:
    request = ExportRequest(
        Path("quickstart-r18"),
        weights=weights,
        data=f"cityscapes:{workshop / 'data'}",
        imgsz=(32, 48),
        reference=1,
    )
    sources = gather(request)
    assert sources.origin.label_space == LABEL_SPACE
    assert (sources.imgsz, sources.precisions, sources.teacher) == ((32, 48), ("fp32",), None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("quickstart-r18", {}, "has no data of its own; name validation data with --data"),
        ("quickstart-r18", {"data": True}, "needs weights"),
        ("quickstart-r18", {"data": True, "weights": True}, "does not say for which size .* --imgsz HxW"),
        ("net.onnx", {"data": True}, "is an ONNX file; export starts from"),
    ],
)
def test_what_is_missing(workshop: Path, weights: Path, name: str, options: dict[str, bool], message: str) -> None:
    request = ExportRequest(
        Path(name),
        data=f"cityscapes:{workshop / 'data'}" if "data" in options else None,
        weights=weights if "weights" in options else None,
    )
    with pytest.raises(SegkdError, match=message):
        gather(request)


def test_a_run_has_its_own_weights_and_a_model_no_folder(workshop: Path, weights: Path) -> None:
    with pytest.raises(SegkdError, match="has its own weights; leave out --weights"):
        gather(ExportRequest(workshop / "student", weights=weights))
    with pytest.raises(SegkdError, match="no run folder to put the artifact into; name a folder with --out"):
        export_artifact(ExportRequest(Path("quickstart-r18"), weights=weights))
