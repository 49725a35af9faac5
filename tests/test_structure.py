"""The walls of the house: which room imports which, what each folder holds, and what no file contains."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from segkd.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "core": "segkd",
    "distill": "segkd_distill",
    "export": "segkd_export",
    "deploy": "segkd_deploy",
}
MAY_IMPORT = {
    "core": set(),
    "distill": {"segkd"},
    "deploy": {"segkd"},
    "export": {"segkd", "segkd_distill", "segkd_deploy"},
}
# Libraries that core and deploy never import, so that both work on a machine without them.
NEVER = {
    "core": {"torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "albumentations", "lightning_fabric"},
    "deploy": {"torch", "torchvision", "onnx", "onnxscript", "albumentations", "lightning_fabric"},
}
# Libraries that take long to import or belong to an extra: inside functions only, in core, deploy and all commands.
HEAVY = {
    "albumentations",
    "jinja2",
    "lightning_fabric",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "safetensors",
    "scipy",
    "sklearn",
    "tensorboard",
    "tensorrt",
    "tensorrt_rtx",
    "torch",
}
MAX_LINES = 400
MAX_BYTES = 1_000_000


def modules(room: str) -> list[Path]:
    """The Python files of a room."""
    return sorted((ROOT / room / ROOMS[room]).rglob("*.py"))


def name(path: Path) -> str:
    """A path as it is named in the repository."""
    return path.relative_to(ROOT).as_posix()


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Top-level names of the packages that import statements name."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: not function bodies, not ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from at_import_time(child)


def offenders(paths: list[Path], rule: Callable[[ast.Module], set[str]]) -> dict[str, set[str]]:
    """File -> what it imports against a rule, for the files that do."""
    found = {name(path): rule(ast.parse(path.read_text(encoding="utf-8"))) for path in paths}
    return {file: packages for file, packages in found.items() if packages}


def repository_files() -> list[Path]:
    """Files that are in git or would be added."""
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / file for file in listed.split("\0") if file and (ROOT / file).is_file()]


@pytest.mark.parametrize("room", ROOMS)
def test_room_holds_one_package_and_no_module(room: str) -> None:
    assert not list((ROOT / room).glob("*.py"))
    assert [p.name for p in (ROOT / room).iterdir() if p.is_dir() and p.name != "__pycache__"] == [ROOMS[room]]


@pytest.mark.parametrize("room", ROOMS)
def test_package_is_typed_and_every_folder_with_modules_is_a_package(room: str) -> None:
    assert (ROOT / room / ROOMS[room] / "py.typed").is_file()
    assert {p.parent for p in modules(room)} == {p.parent for p in modules(room) if p.name == "__init__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_the_rooms_it_may_use(room: str) -> None:
    others = set(ROOMS.values()) - MAY_IMPORT[room] - {ROOMS[room]}
    assert offenders(modules(room), lambda module: imported(ast.walk(module)) & others) == {}


@pytest.mark.parametrize("room", NEVER)
def test_room_imports_no_training_library(room: str) -> None:
    assert offenders(modules(room), lambda module: imported(ast.walk(module)) & NEVER[room]) == {}


def test_heavy_libraries_are_imported_inside_functions() -> None:
    light = [p for room in ROOMS for p in modules(room) if room in NEVER or p.parent.name == "commands"]
    assert offenders(light, lambda module: imported(at_import_time(module)) & HEAVY) == {}


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {p.parent for p in (ROOT / "tests").rglob("*.py")}
    assert {name(p) for p in folders if not (p / "__init__.py").is_file()} == set()


def test_modules_are_short() -> None:
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for room in ROOMS for p in modules(room)}
    assert {name(p): lines for p, lines in lengths.items() if lines > MAX_LINES} == {}


def test_import_reader_sees_nested_imports() -> None:
    source = """
import os
if TYPE_CHECKING:
    import jinja2
try:
    import torch.nn
except ImportError:
    pass
def f():
    from segkd_distill.models import zoo
"""
    module = ast.parse(source)
    assert imported(ast.walk(module)) == {"os", "jinja2", "torch", "segkd_distill"}
    assert imported(at_import_time(module)) == {"os", "torch"}


# --- The same rules at run time: imports of the blocked names fail. ---

BLOCKED_RUN = """
import sys

class Blocker:
    blocked = set({blocked!r})
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
        return None

sys.meta_path.insert(0, Blocker())
{code}
"""
EXTRAS = ["torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "albumentations", "lightning_fabric"]
EXTRAS += ["safetensors", "tensorboard", "jinja2", "matplotlib", "sklearn", "scipy"]


def run_blocked(blocked: list[str], code: str) -> str:
    """Run code in a process in which some packages cannot be imported; its stdout."""
    script = BLOCKED_RUN.format(blocked=blocked, code=code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_blocker_blocks() -> None:
    code = "try:\n    import torch.nn\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert run_blocked(EXTRAS, code) == "blocked: torch\n"


@pytest.mark.parametrize("room", ["core", "deploy"])
def test_every_module_imports_with_other_rooms_and_extras_blocked(room: str) -> None:
    folder = ROOT / room
    names = [p.relative_to(folder).with_suffix("").as_posix().replace("/", ".") for p in modules(room)]
    names = [module.removesuffix(".__init__") for module in names if not module.endswith("__main__")]
    others = [p for p in ROOMS.values() if p != ROOMS[room] and p not in MAY_IMPORT[room]]
    code = f"import importlib\nfor name in {names}:\n    importlib.import_module(name)\nprint('imported')"
    assert run_blocked(EXTRAS + others, code) == "imported\n"


def test_help_of_every_command_works_without_extras() -> None:
    code = f"""
import click
from click.testing import CliRunner
from segkd.cli import cli

def check(words):
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0, (words, result.output, result.exception)
    assert chr(92) + "b" not in result.output, words  # click's mark for a paragraph, written in a raw docstring
    assert "Usage:" in result.output and len(result.output.splitlines()) > 3, (words, result.output)
    print(" ".join(words))

check([])
for name in {list(COMMANDS)}:
    check([name])
    command = cli.get_command(click.Context(cli), name)
    if isinstance(command, click.Group):
        for subcommand in command.list_commands(click.Context(command)):
            check([name, subcommand])
"""
    lines = run_blocked(EXTRAS, code).splitlines()
    assert [line for line in lines if line and " " not in line] == list(COMMANDS)


def test_help_of_the_whole_imports_no_library_but_click() -> None:
    code = """
from segkd.cli import cli
cli.main(["--help"], prog_name="segkd", standalone_mode=False)
libraries = {"cv2", "numpy", "PIL", "pydantic", "rich", "torch", "yaml"} & set(sys.modules)
assert not libraries, libraries
"""
    assert "quickstart" in run_blocked([], code)


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--student", "pspnet-r19", "--student: student.model: unknown model 'pspnet-r19'; did you mean 'pspnet-r18'?"),
        ("--method", "cdw", "unknown method 'cdw'; did you mean 'cwd'?"),
        ("--recipe", "quickstart-techer", "unknown recipe 'quickstart-techer'; did you mean 'quickstart-teacher'?"),
        ("--data", "cityscape:streets", "--data: data.train: unknown data set 'cityscape'; did you mean 'cityscapes'?"),
    ],
)
def test_a_misspelt_name_is_found_without_torch(option: str, name: str, message: str) -> None:
    code = f"""
from segkd.cli import main
try:
    main(["distill", "--out", "nowhere/run", {option!r}, {name!r}])
except SystemExit as end:
    print(end.code)
assert "torch" not in sys.modules
"""
    script = BLOCKED_RUN.format(blocked=EXTRAS, code=code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout == "2\n" and message in done.stderr, done.stdout + done.stderr


# --- Rooms that stay easy to find one's way in. ---

MAX_LOOSE = 12
# Folders whose every file is one of a kind and is found by its name: they may hold more, and need no list.
ONE_OF_A_KIND = re.compile(
    "(losses|methods|backbones|heads|readers|readers/labels|commands|adapters|rules|scenarios|checkpoints/formats)$"
)
# Folders that may hold more for another reason: telemetry is a model of the house as it is, targets has more stages.
LARGER = {"deploy/segkd_deploy/telemetry": 20, "deploy/segkd_deploy/targets": 14}
# Functions that are long enough to need paragraphs, and how many of them may have none.
LONG_BODY, BARE_SHARE = 20, 0.15


def folders(room: str) -> list[Path]:
    """The folders of a room that hold modules."""
    return sorted({path.parent for path in modules(room)})


def loose(folder: Path) -> list[str]:
    """Modules that lie directly in a folder."""
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__"))


@pytest.mark.parametrize("room", ROOMS)
def test_no_folder_holds_many_loose_modules(room: str) -> None:
    counts = {name(f): len(loose(f)) for f in folders(room) if not ONE_OF_A_KIND.search(name(f))}
    assert {f: count for f, count in counts.items() if count > LARGER.get(f, MAX_LOOSE)} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_the_docstring_of_a_folder_names_its_modules(room: str) -> None:
    for folder in folders(room):
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        listed = set(re.findall(r"``(\w+)``", "\n".join(re.findall(r"^- .*", text, re.MULTILINE))))
        first = set(re.findall(r"``(\w+)``", "\n".join(re.findall(r"^- [^:]*:", text, re.MULTILINE))))
        inner = {path.parent.name for path in folder.glob("*/__init__.py")}
        if not ONE_OF_A_KIND.search(name(folder)) and len(loose(folder)) > 3:
            files = set(re.findall(r"\b(\w+)\.py\b", text))
            assert set(loose(folder)) - listed - files == set(), f"{name(folder)}/__init__.py says nothing of these"
        assert first - set(loose(folder)) - inner == set(), f"{name(folder)}/__init__.py names what is not there"


def module_name(path: Path) -> str:
    """What a file is imported as."""
    parts = path.with_suffix("").parts
    start = next(index for index, part in enumerate(parts) if part in ROOMS.values())
    return ".".join(parts[start:]).removesuffix(".__init__")


def import_graph(paths: list[Path]) -> dict[str, set[str]]:
    """Module -> modules among the given ones that are imported when it is, type checking left out."""
    known = {module_name(path) for path in paths}
    graph: dict[str, set[str]] = {}
    for path in paths:
        targets: set[str] = set()
        for node in at_import_time(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from package import name` imports the module of that name, or what the package's `__init__` has.
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= names & known or {node.module}
        graph[module_name(path)] = (targets & known) - {module_name(path)}
    return graph


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one found; empty without one."""
    done: set[str] = set()

    def walk(module: str, above: list[str]) -> list[str]:
        if module in above:
            return [*above[above.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph[module]):
            if circle := walk(target, [*above, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in sorted(graph) if (circle := walk(module, []))), [])


@pytest.mark.parametrize("room", ROOMS)
def test_no_modules_import_each_other_in_a_circle(room: str) -> None:
    assert cycle(import_graph(modules(room))) == []


def test_the_reader_of_circles_finds_one() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def bare(path: Path) -> tuple[list[str], int]:
    """Long functions of a file without a blank line or comment in their body, and how many long ones there are."""
    text = path.read_text(encoding="utf-8")
    lines, found, count = text.splitlines(), [], 0
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if not body or node.end_lineno is None or node.end_lineno - body[0].lineno + 1 < LONG_BODY:
            continue
        count += 1
        if all(
            line.strip() and not line.strip().startswith("#") for line in lines[body[0].lineno - 1 : node.end_lineno]
        ):
            found.append(f"{name(path)}:{node.lineno} {node.name}")
    return found, count


def test_long_functions_have_paragraphs() -> None:
    read = [bare(path) for room in ROOMS for path in modules(room)]
    without, count = [function for found, _ in read for function in found], sum(count for _, count in read)
    assert count > 50
    assert len(without) <= BARE_SHARE * count, without


# --- Tables and the files behind them. ---


# Files beside algorithms that are none.
NO_ALGORITHMS = {"__init__", "base", "compose", "gather", "memory_bank", "parsing", "values"}


def algorithm_files(folder: str) -> set[str]:
    return {p.stem for p in (ROOT / folder).glob("*.py")} - NO_ALGORITHMS


def test_every_method_resolves_and_every_method_file_is_in_the_table() -> None:
    from segkd_distill.methods import METHODS, method_class
    from segkd_distill.methods.base import Method

    for method in METHODS:
        assert issubclass(method_class(method), Method), method
    files = {target.split(":")[0].removeprefix("segkd_distill.methods.") for target in METHODS.values()}
    assert files == algorithm_files("distill/segkd_distill/methods")


def test_every_data_set_in_the_table_resolves() -> None:
    from segkd.data import DATASETS, Dataset

    for dataset, target in DATASETS.items():
        module, attribute = target.split(":")
        assert issubclass(getattr(importlib.import_module(module), attribute), Dataset), dataset


@pytest.mark.parametrize(
    ("folder", "tests"),
    [
        ("distill/segkd_distill/methods", "tests/distill"),
        ("distill/segkd_distill/losses", "tests/distill"),
        ("core/segkd/metrics", "tests/core"),
    ],
)
def test_every_algorithm_has_a_test_file_of_its_name(folder: str, tests: str) -> None:
    tested = {p.stem.removeprefix("test_") for p in (ROOT / tests).rglob("test_*.py")}
    assert algorithm_files(folder)
    assert algorithm_files(folder) <= tested


def test_every_shipped_recipe_loads() -> None:
    from segkd.recipe import load_recipe, recipe_names

    files = {p.stem for p in (ROOT / "distill" / "segkd_distill" / "recipes").rglob("*.y*ml")}
    shipped = recipe_names()
    assert len(shipped) >= 2  # the quickstart's teacher and student
    assert set(shipped) == files
    for recipe in shipped:
        assert load_recipe(recipe, []).student.model, recipe


# --- What no file of the repository contains. ---


def test_no_index_hosts_and_no_paths_of_one_machine() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted.org", "download." + "pytorch.org", "pypi." + "nvidia.com"]
    options = ["--index" + "-url", "--extra-index" + "-url", "--find" + "-links"]
    folders = ["/work/" + "main", "/work/" + "shared", "/opt/" + "wheels", "/root" + "/", "/home" + "/"]
    pattern = re.compile("|".join(re.escape(word) for word in hosts + options + folders).encode())
    found = [name(p) for p in repository_files() if pattern.search(p.read_bytes())]
    assert found == []


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    for file in ("constraints.txt", "constraints-3.10.txt"):
        lines = (ROOT / file).read_text().splitlines()
        pins = [line for line in lines if not line.startswith("#")]
        assert [line for line in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
        assert pins == sorted(set(pins))
        assert "torch==2.13.0" in pins


def test_no_large_file() -> None:
    assert [name(p) for p in repository_files() if p.stat().st_size > MAX_BYTES] == []
