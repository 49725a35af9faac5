"""Where the result cannot be written, nothing is measured first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from segkd.cli import cli
from segkd.errors import SegkdError


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("the work began")


@pytest.mark.parametrize(
    ("words", "work"),
    [
        (["bench"], "segkd_deploy.bench.run.bench_artifact"),
        (["validate"], "segkd_deploy.parity.validate_artifact"),
        (["predict", "INPUT"], "segkd_deploy.inference.model.load"),
        (["build", "--runtime", "tensorrt_rtx", "--sm", "8.6"], "segkd_deploy.tensorrt.build.build_all"),
        (["deploy", "--target", "local"], "segkd_deploy.targets.deploy.deploy_all"),
    ],
)
def test_the_place_is_tried_first(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], work: str
) -> None:
    monkeypatch.setattr(work, never)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    rest = [str(tmp_path / "file") if word == "INPUT" else word for word in words[1:]]
    for out, message in (("file/below/x", "file is a file and no folder"), ("link", "leads nowhere")):
        result = CliRunner().invoke(cli, [words[0], str(pristine), *rest, "--out", str(tmp_path / out)])
        assert isinstance(result.exception, SegkdError), result.output
        assert message in str(result.exception) and result.exception.exit_code == 2
