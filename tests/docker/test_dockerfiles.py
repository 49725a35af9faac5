"""The Dockerfiles: hadolint is silent, what they copy is there and enough, and what they run exists.

Nothing here builds an image: that needs Docker, the network and the bases.
"""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest

from segkd.cli import COMMANDS
from tests.docker.dockerfile import Stage, read_stages

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docker"
NAMES = ("train", "export", "jetson")
DOCS = (ROOT / "docs" / "docker.md").read_text()
# An exact release: digits, and no word that moves.
PINNED = re.compile(r"^[\w./-]+:r?\d+\.\d+(\.\d+)?(-[\w.]+)*$")


def dockerfile(name: str) -> Path:
    """The file of an image."""
    return FOLDER / f"{name}.Dockerfile"


def final(name: str) -> Stage:
    """The stage that becomes the image."""
    return read_stages(dockerfile(name))[-1]


def extras(name: str) -> list[str]:
    """The extras that an image installs."""
    (default,) = [text for text in read_stages(dockerfile(name))[0].texts("ARG") if text.startswith("EXTRAS=")]
    return default.removeprefix("EXTRAS=").split(",")


def requirements(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], chosen: str) -> list[str]:
    """What docker/requirements.py prints, under whichever Python runs the tests."""
    if sys.version_info < (3, 11):  # the images run it with 3.12
        monkeypatch.setitem(sys.modules, "tomllib", importlib.import_module("tomli"))
    with (ROOT / "pyproject.toml").open() as project:
        monkeypatch.setattr(sys, "stdin", project)
        monkeypatch.setattr(sys, "argv", ["requirements.py", chosen])
        runpy.run_path(str(FOLDER / "requirements.py"), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def sent(path: str) -> bool:
    """Whether .dockerignore lets a file of the checkout reach the build; the last line that matches decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern, keeps = line.lstrip("!"), line.startswith("!")
        parts = path.split("/")
        if pattern.startswith("**/"):
            hit = any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
        else:
            hit = any(fnmatch.fnmatchcase("/".join(parts[:n]), pattern) for n in range(1, len(parts) + 1))
        if hit:
            ignored = not keeps
    return not ignored


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    """Run hadolint, of the dev extra, with the project's rules."""
    program = Path(sys.executable).with_name("hadolint")
    assert program.exists(), "hadolint is missing: pip install -e '.[dev]'"
    command = [str(program), "--no-color", "--config", str(ROOT / ".hadolint.yaml"), str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_dockerfile_is_known_here() -> None:
    assert {path.name for path in FOLDER.glob("*Dockerfile*")} == {f"{name}.Dockerfile" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_hadolint_is_silent(name: str) -> None:
    done = lint(dockerfile(name))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hadolint_finds_what_it_should_with_these_rules(tmp_path: Path) -> None:
    bad = tmp_path / "bad.Dockerfile"
    bad.write_text("FROM example.org/ubuntu:latest\nRUN cd /tmp\nRUN pip install torch\nENTRYPOINT segkd\nUSER root\n")
    done = lint(bad)
    assert done.returncode == 1
    # latest; other registry; cd; no version; ENTRYPOINT as a string; root
    for rule in ("DL3007", "DL3026", "DL3003", "DL3013", "DL3025", "DL3002"):
        assert rule in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_bases_are_exact_releases(name: str) -> None:
    stages = read_stages(dockerfile(name))
    names = {stage.name for stage in stages}
    for stage in stages:
        assert stage.image in names or PINNED.match(stage.image), f"{stage.image} is not pinned"


@pytest.mark.parametrize(
    "tag", ["ubuntu", "ubuntu:latest", "ubuntu:noble", "nvcr.io/nvidia/tensorrt:latest-py3", "python:3"]
)
def test_a_base_that_moves_is_not_pinned(tag: str) -> None:
    assert not PINNED.match(tag)


@pytest.mark.parametrize(
    ("jetpack", "base"), [("6", "nvcr.io/nvidia/l4t-jetpack:r36.4.0"), ("7", "nvcr.io/nvidia/tensorrt:25.11-py3")]
)
def test_jetpack_chooses_the_base(jetpack: str, base: str) -> None:
    stages = {stage.name: stage for stage in read_stages(dockerfile("jetson"), JETPACK=jetpack)}
    assert stages[stages["runtime"].image].image == base


@pytest.mark.parametrize("name", NAMES)
def test_runs_as_a_numbered_user_who_is_not_root(name: str) -> None:
    # A number, so that Kubernetes' runAsNonRoot can tell.
    assert final(name).texts("USER") == ["10001:10001"]
    assert any("useradd" in text and "--uid 10001 " in text for text in final(name).texts("RUN"))
    kinds = [kind for kind, _ in final(name).steps]
    assert "RUN" not in kinds[kinds.index("USER") :]


@pytest.mark.parametrize("name", NAMES)
def test_health_is_segkd_doctor_and_it_runs(name: str) -> None:
    (text,) = final(name).texts("HEALTHCHECK")
    command = json.loads(text.partition("CMD ")[2])
    assert command == ["segkd", "doctor"]
    assert json.loads(final(name).texts("ENTRYPOINT")[0]) == ["segkd"]
    assert json.loads(final(name).texts("CMD")[0]) == ["doctor"]
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run([str(program), *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "segkd" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_labels(name: str) -> None:
    (text,) = final(name).texts("LABEL")
    labels = dict(part.split("=", 1) for part in shlex.split(text))
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == f"segkd {name}"
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert labels[f"{prefix}description"]
    assert labels[f"{prefix}version"] == "${VERSION}"
    assert labels[f"{prefix}revision"] == "${REVISION}"


@pytest.mark.parametrize("name", NAMES)
def test_what_it_reads_is_there_and_sent(name: str) -> None:
    sources = [source for stage in read_stages(dockerfile(name)) for source in stage.sources()]
    assert {"constraints.txt", "pyproject.toml", "core", "deploy"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert sent(source), f".dockerignore keeps {source} out"


@pytest.mark.parametrize(
    "path",
    [".git/config", ".env", "core/.env.local", "runs/student/student.safetensors", "tests/conftest.py", ".ssh/id_rsa"],
)
def test_nothing_else_is_sent(path: str) -> None:
    assert not sent(path)
    assert not sent("core/segkd/__pycache__/cli.cpython-312.pyc")


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_has_a_place(name: str) -> None:
    for stage in read_stages(dockerfile(name)):
        for text in stage.texts("ARG") + stage.texts("ENV"):
            assert not re.search(r"token|secret|passw|credential|api_?key", text, re.IGNORECASE)
        assert not any(text.split()[0] == "." for text in stage.texts("COPY"))
        assert not stage.texts("ADD")


@pytest.mark.parametrize("name", NAMES)
def test_every_install_is_constrained(name: str) -> None:
    installs = [
        step
        for stage in read_stages(dockerfile(name))
        for text in stage.texts("RUN")
        for step in text.split(" && ")
        if "pip install" in step
    ]
    assert len(installs) >= 3
    for step in installs:
        assert " -c " in step or " --no-index --no-deps " in step, step


@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_of_apt_and_pip(name: str) -> None:
    for text in final(name).texts("RUN"):
        assert "apt-get install" not in text or "rm -rf /var/lib/apt/lists/*" in text
        assert "pip install" not in text or "target=/var/cache/pip" in text or "--no-cache-dir" in text


@pytest.mark.parametrize("name", NAMES)
def test_extras_give_requirements(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = requirements(monkeypatch, capsys, ",".join(extras(name)))
    assert len(lines) == len(set(lines))
    found = {re.split(r"[<>=; \[]", line)[0] for line in lines}
    assert {"click", "numpy", "onnxruntime"} <= found
    assert ("torch" in found) == (name != "jetson")


def test_the_jetson_gets_neither_torch_nor_onnx(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extras("jetson") == ["ort"]
    lines = requirements(monkeypatch, capsys, "ort")
    assert not [line for line in lines if re.match(r"(torch|onnx|onnxscript|lightning|albumentations)\b", line)]


def test_an_unknown_extra_stops_the_build(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="no extra gpu; there are train, export, ort"):
        requirements(monkeypatch, capsys, "ort,gpu")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_copied_makes_the_wheel(name: str, tmp_path: Path) -> None:
    stage = read_stages(dockerfile(name))[0]
    context = tmp_path / "src"
    context.mkdir()
    for text in stage.texts("COPY"):
        *sources, target = text.split()
        for source in sources:
            place = context / (Path(source).name if target == "./" else target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    (command,) = [text for text in stage.texts("RUN") if "-m build" in text]
    words = [str(tmp_path) if word == "/out" else word for word in command.split()]
    assert words[0] == "python"
    done = subprocess.run([sys.executable, *words[1:]], cwd=context, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.namelist()
    assert {"segkd", "segkd_distill", "segkd_export", "segkd_deploy"} <= {name.split("/")[0] for name in packed}
    assert "segkd/cli.py" in packed
    assert [name for name in packed if name.startswith("segkd_distill/recipes/")]


def documented(program: str) -> list[list[str]]:
    """The command lines of docs/docker.md that start with a program, as words."""
    joined = DOCS.replace("\\\n", " ")
    lines = [line.removeprefix("$ ") for line in joined.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith(program + " ")]


def test_documented_builds() -> None:
    builds = documented("docker build") + documented("docker buildx build")
    assert {Path(words[words.index("-f") + 1]).name for words in builds} == {f"{name}.Dockerfile" for name in NAMES}
    for words in builds:
        path = ROOT / words[words.index("-f") + 1]
        arguments = {text.split("=")[0] for text in re.findall(r"^ARG (\S+)", path.read_text(), re.MULTILINE)}
        given = {words[n + 1].split("=")[0] for n, word in enumerate(words) if word == "--build-arg"}
        assert given <= arguments


def test_documented_runs_call_commands_and_options_that_exist() -> None:
    runs = [words for words in documented("docker run") if any(word.startswith("segkd:") for word in words)]
    assert len(runs) >= 6
    for words in runs:
        image = next(n for n, word in enumerate(words) if word.startswith("segkd:"))
        if "--entrypoint" in words[:image] or image + 1 == len(words):
            continue
        name, *rest = words[image + 1 :]
        module, attribute = COMMANDS[name].split(":")
        command: Any = getattr(importlib.import_module(module), attribute)
        while isinstance(command, click.Group):
            command = command.commands[rest.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.split("=")[0] for word in rest if word.startswith("--")} <= options, words


def test_the_documentation_shows_what_a_jetson_needs() -> None:
    for part in ("--runtime nvidia", "/sys:/sys:ro", "/run/jtop.sock", "--no-healthcheck", "never built"):
        assert part in DOCS
