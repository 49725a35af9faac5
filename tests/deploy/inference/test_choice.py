"""Which runtime and variant run when nobody names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.artifact import open_artifact
from segkd_deploy.inference.choice import ORDER, Candidate, candidates, choose_variant, has_passed
from tests.deploy.variants import add_variant, edit_manifest, write_parity

GPU, CPU = Candidate("tensorrt", "cuda:0"), Candidate("onnxruntime", "cpu")


@pytest.fixture
def full(artifact: Path) -> Path:
    """An artifact with every variant, none of them validated."""
    for name, precision, activations in (("fp16", "fp16", None), ("int8", "int8", "s8"), ("int8-cpu", "int8", "u8")):
        add_variant(artifact, name, precision, activations=activations)
    return artifact


def choose(folder: Path, candidate: Candidate, variant: str | None = None, precision: str | None = None) -> str:
    return choose_variant(open_artifact(folder), candidate, variant, precision)


def test_without_evidence_nothing_lossy_is_taken(full: Path) -> None:
    assert choose(full, GPU) == choose(full, CPU) == "fp32"


def test_fp16_on_a_gpu_once_it_passed(full: Path) -> None:
    write_parity(full, fp32=True, fp16=True, int8=True)
    assert choose(full, GPU) == choose(full, Candidate("onnxruntime", "cuda")) == "fp16"
    assert choose(full, CPU) == "fp32"
    write_parity(full, fp32=True, fp16=False)
    assert choose(full, GPU) == "fp32"


def test_evidence_of_other_bytes_does_not_count(full: Path) -> None:
    write_parity(full, fp16=True)
    artifact = open_artifact(full)
    assert has_passed(artifact, "fp16") and not has_passed(artifact, "fp32")
    parity = json.loads((full / "parity.json").read_text())
    for damaged in (
        {**parity, "artifact": {"manifest_sha256": "0" * 64}},
        {**parity, "variants": {"fp16": {**parity["variants"]["fp16"], "sha256": "0" * 64}}},
        {**parity, "variants": {"fp16": {**parity["variants"]["fp16"], "gates": []}}},
        [],
    ):
        (full / "parity.json").write_text(json.dumps(damaged))
        assert not has_passed(artifact, "fp16")
    (full / "parity.json").write_text("{")
    assert not has_passed(artifact, "fp16")


def test_what_is_named_is_taken(full: Path) -> None:
    assert choose(full, GPU, variant="int8") == "int8"
    assert (choose(full, GPU, precision="int8"), choose(full, CPU, precision="int8")) == ("int8", "int8-cpu")
    with pytest.raises(SegkdError, match="no variant 'fp8'; it has fp32, fp16, int8, int8-cpu"):
        choose(full, CPU, variant="fp8")
    with pytest.raises(SegkdError, match="no bf16 variant"):
        choose(full, CPU, precision="bf16")


def test_without_fp32_the_first_of_the_manifest(full: Path) -> None:
    edit_manifest(full, lambda manifest: manifest["variants"].pop("fp32"))
    assert choose(full, CPU) == choose(full, GPU) == "fp16"


def test_unsigned_activations_run_in_onnxruntime_alone(full: Path) -> None:
    artifact = open_artifact(full)
    assert candidates(artifact, None) == candidates(artifact, "int8") == list(ORDER)
    assert {candidate.runtime for candidate in candidates(artifact, "int8-cpu")} == {"onnxruntime"}
    assert [str(candidate) for candidate in ORDER][::3] == ["tensorrt on cuda:0", "onnxruntime on cpu"]


@pytest.mark.parametrize(
    ("name", "provider", "taken"),
    [
        ("onnxruntime", "CPUExecutionProvider", "fp32"),
        ("onnxruntime", "OpenVINOExecutionProvider", "fp32"),
        ("onnxruntime", "CUDAExecutionProvider", "fp16"),
        ("tensorrt", "cuda:0", "fp16"),
    ],
)
def test_halves_that_a_cpu_computed_in_float32_are_no_pass_for_a_gpu(
    full: Path, name: str, provider: str, taken: str
) -> None:
    write_parity(full, fp16=True)
    parity = json.loads((full / "parity.json").read_text())
    parity["variants"]["fp16"]["runtime"] = {"name": name, "provider": provider}
    (full / "parity.json").write_text(json.dumps(parity))
    assert choose(full, GPU) == taken
