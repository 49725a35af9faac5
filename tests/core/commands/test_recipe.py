from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from segkd.cli import cli
from segkd.errors import SegkdError

NAME = "cityscapes-pspnet-r18"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["recipe", *words])


def test_show_prints_every_key_with_overrides() -> None:
    result = run("show", NAME, "--set", "train.batch=16", "--set", "augment.crop=96x192")
    values = yaml.safe_load(result.stdout)
    assert result.exit_code == 0
    assert (values["train"]["batch"], values["train"]["iters"], values["augment"]["crop"]) == (16, 80000, [96, 192])
    assert "unlabelled" in values["data"]
    assert json.loads(run("show", NAME, "--json").stdout)["student"]["model"] == "pspnet-r18"


def test_show_ends_with_the_published_numbers() -> None:
    result = run("show", "bpkd-pspnet-r18-cityscapes")
    values = yaml.safe_load(result.stdout)  # the numbers are comments
    assert (values["experiment"], values["train"]["iters"]) == ("bpkd-pspnet-r18-cityscapes", 80000)
    assert "# published for bpkd-pspnet-r18-cityscapes: README of AkideLiu/BPKD" in result.stdout
    assert "#   bpkd                 mIoU 77.57  mAcc 84.47" in result.stdout
    assert "# published" not in run("show", NAME).stdout
    shown = json.loads(run("show", "bpkd-pspnet-r18-cityscapes", "--json").stdout)
    assert shown["published"]["methods"]["cwd"]["miou"] == 76.26 and shown["student"]["model"] == "pspnet-r18"


def test_a_copy_of_a_recipe_that_extends_still_does(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    run("copy", "bpkd-hrnet-w18s-context-40k", str(out))
    assert run("show", str(out)).stdout == run("show", "bpkd-hrnet-w18s-context-40k").stdout


def test_presets() -> None:
    first, second = yaml.safe_load(run("presets").stdout).values()
    assert first["mmseg"]["data_sets"]["ade20k"]["crop"] == [512, 512] and second["mmseg-80k"]["iters"] == 80000
    assert json.loads(run("presets", "--json").stdout) == {"pipelines": first, "schedules": second}
    assert "&" not in run("presets").stdout


def test_copy_keeps_comments_and_existing_files(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    assert run("copy", NAME, str(out)).stdout == f"{out}\n"
    assert out.read_text().startswith("# PSPNet-R18 on Cityscapes")
    out.write_text("mine")
    result = run("copy", NAME, str(out))
    assert isinstance(result.exception, SegkdError)
    assert "exists already" in str(result.exception)
    assert out.read_text() == "mine"


def test_a_copy_says_what_to_look_at(tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    run("copy", "quickstart-student", str(out))
    assert "  iters: 700  # steps of the whole run" in out.read_text()
    assert yaml.safe_load(out.read_text())["train"]["lr"] == 0.02
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n")
    refused = run("copy", str(tmp_path / "latin.yaml"), str(tmp_path / "b.yaml"))
    assert isinstance(refused.exception, SegkdError) and "latin.yaml" in str(refused.exception)
    assert not (tmp_path / "b.yaml").exists()


def test_check(tmp_path: Path) -> None:
    assert run("check", NAME).stdout == f"{NAME}: valid\n"
    assert json.loads(run("check", NAME, "--json").stdout)["valid"] is True
    (tmp_path / "mine.yaml").write_text("train:\n  itres: 5\n")
    result = run("check", str(tmp_path / "mine.yaml"))
    assert result.stdout == ""
    assert str(result.exception).endswith("mine.yaml:2: train.itres: unknown key, did you mean 'iters'?")


@pytest.mark.parametrize("setting", ["student.model=pspnet-r17", "methods=[cdw]", "data.val=citiscapes:/data"])
def test_check_knows_the_names(setting: str) -> None:
    assert "unknown" in str(run("check", NAME, "--set", setting).exception)


def test_check_without_torch_says_what_it_did_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("check", NAME, "--set", "student.model=pspnet-r17")
    assert result.exit_code == 0
    assert "models, methods and their options were not checked: torch is not installed" in result.stderr
