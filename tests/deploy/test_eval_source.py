from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkd.errors import SegkdError
from segkd.evaluation import Inference
from segkd.evaluation.sources import Request
from segkd_deploy.eval_source import open_graph
from segkd_deploy.parity.whole_set import WholeSet
from segkd_deploy.runners import open_runner
from tests.deploy.artifacts import NAMES, make_artifact
from tests.deploy.blocks import Blocks
from tests.deploy.conftest import Run


@pytest.mark.parametrize("batch", [1, 2, None])
def test_scores_are_those_of_validate(segkd: Run, tmp_path: Path, blocks: str, batch: int | None) -> None:
    artifact = make_artifact(tmp_path / "artifact", batch=batch)
    done = segkd("eval", artifact, "--data", blocks, "--json", "--save-predictions", tmp_path / "p", "--trimap", "1")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    dataset = Blocks(tmp_path)
    with open_runner(artifact / "model.fp32.onnx") as runner:
        expected = WholeSet.score(runner, dataset, None, NAMES, lambda images: None).scores
    assert result["miou"] == expected.miou and result["aacc"] == expected.aacc < 1
    assert result["kind"] == "artifact" and result["variant"] == "fp32" and result["artifact"] == str(artifact)
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert result["graph_sha256"] == manifest["variants"]["fp32"]["sha256"]
    assert len(list((tmp_path / "p").glob("*.png"))) == len(dataset)


def test_a_changed_file_is_noticed(segkd: Run, artifact: Path, blocks: str) -> None:
    from tests.deploy.artifacts import change_a_byte

    change_a_byte(artifact / "model.fp32.onnx")
    assert segkd("eval", artifact, "--data", blocks).code == 1


def test_what_a_graph_cannot_do(segkd: Run, pristine: Path, blocks: str) -> None:
    for extra in (["--flip"], ["--mode", "slide", "--crop", "8x8"], ["--scales", "0.5,1"], ["--test-scale", "8x9"]):
        done = segkd("eval", pristine, "--data", blocks, *extra)
        assert done.code == 2 and "a graph has its size and upsampling inside" in done.err
    done = segkd("eval", pristine, "--data", blocks, "--protocol", "cirkd")
    assert done.code == 2 and "with align_corners=True" in done.err
    done = segkd("eval", pristine, "--data", blocks, "--variant", "int8")
    assert done.code == 2 and "int8" in done.err and done.out == ""
    assert "give --data NAME:PATH" in segkd("eval", pristine).err


def test_a_graph_with_the_protocols_upsampling(segkd: Run, artifact: Path, blocks: str) -> None:
    path = artifact / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["source"]["model"]["align_corners"] = True
    path.write_text(json.dumps(manifest))
    done = segkd("eval", artifact, "--data", blocks, "--protocol", "cirkd", "--json")
    assert done.code == 0 and json.loads(done.out)["protocol"]["absent"] == "zero"


def test_a_predictor_labels_at_the_masks_size(pristine: Path, tmp_path: Path) -> None:
    dataset = Blocks(tmp_path)
    request = Request(str(pristine), dataset.labels)
    with open_graph(request) as predictor:
        sample = dataset.read(0)
        (labels,) = predictor.predict([sample])
        assert labels.shape == sample.mask.shape and predictor.class_names == tuple(NAMES)
        np.testing.assert_array_equal(labels[1:, 1:], sample.mask[1:, 1:])
    with pytest.raises(SegkdError, match="sliding windows"):
        open_graph(Request(str(pristine), dataset.labels, Inference(flip=True)))
