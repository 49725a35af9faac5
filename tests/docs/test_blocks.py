"""Every block of README and docs/: its commands and options exist; what is not run is counted."""

from __future__ import annotations

import ast
import re
from collections import Counter

import click
import pytest
import yaml

from segkd.cli import cli
from tests.docs.pages import ROOT, Block, pages, parse_blocks, read_blocks, words_of

BLOCKS = [block for page in pages() for block in read_blocks(page)]

# How many blocks a reader without that device, network, ... cannot type. A number that grows needs a reason; one that
# shrinks is written down here, so that it does not grow again unseen.
NOT_RUN = {
    "no-data": 4,
    "no-device": 11,
    "no-docker": 6,
    "no-gpu": 5,
    "no-network": 2,
    "too-long": 5,
}


def resolve(words: list[str]) -> click.Context:
    """Parse a command line down to its last command, without running it."""
    context, command = click.Context(cli, info_name="segkd"), cli
    rest = words
    while isinstance(command, click.Group):
        with context:
            name, found, rest = command.resolve_command(context, rest)
        assert found is not None and name is not None
        context = found.make_context(name, list(rest), parent=context)
        command, rest = found, [*context._protected_args, *context.args]
    return context


def id_of(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "console"], ids=id_of)
def test_commands_and_options_exist(block: Block) -> None:
    commands = block.commands()
    assert commands, f"{block.place}: a console block without a line that begins with `$ `"
    for command in commands:
        words = words_of(command)
        assert "..." not in words, f"{block.place}: nobody can type {command}"
        if words[0] == "segkd":
            try:
                resolve(words[1:])
            except click.BadParameter as error:
                assert "does not exist" in error.message, f"{block.place}: {error.message}"
        for script in re.findall(r"\b(?:benchmarks|docker)/[\w./]+", command):
            assert (ROOT / script).is_file(), f"{block.place}: {script}"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language != "console"], ids=id_of)
def test_python_and_yaml_can_be_read(block: Block) -> None:
    if block.language == "python":
        ast.parse(block.text)
    else:
        assert yaml.safe_load(block.text), block.place


def test_what_is_not_run_is_counted() -> None:
    assert Counter(block.not_run for block in BLOCKS if block.not_run) == NOT_RUN


def test_every_option_of_the_command_line_is_checked() -> None:
    with pytest.raises(click.NoSuchOption, match="--recipy"):
        resolve(["train", "--recipy", "a"])
    with pytest.raises(click.MissingParameter):
        resolve(["release", "create", "artifact"])
    with pytest.raises(click.UsageError, match="did you mean 'bench'"):
        resolve(["bensh", "artifact"])


PAGE = """# Page

<!-- not run, no-gpu: it needs one -->

```console
$ segkd train \\
    --out a   # words
1.5
$ ls
```

<!-- run shorter: train --iters 3; bench --duration 1 -->
```python
1
```

```yaml
# my_file.yaml, used below
a: 1
```

```
text
```
"""


def test_blocks_of_a_page() -> None:
    first, second, third = parse_blocks(PAGE, "page")
    assert (first.line, first.not_run, second.not_run) == (5, "no-gpu", None)
    assert [words_of(command) for command in first.commands()] == [["segkd", "train", "--out", "a"], ["ls"]]
    assert second.shorter == {"train": ["--iters", "3"], "bench": ["--duration", "1"]}
    assert (third.file_name(), second.file_name()) == ("my_file.yaml", None)


@pytest.mark.parametrize(
    "comment",
    [
        "<!-- not run, bored: no -->",
        "<!-- not run, no-gpu: -->",
        "<!-- notrun -->",
        "<!-- run shorter: train --set train.lr=1 -->",
        "<!-- run shorter: validate --gate agreement=0 -->",
    ],
)
def test_comments_that_are_none(comment: str) -> None:
    with pytest.raises(ValueError, match="page:"):
        parse_blocks(f"{comment}\n```console\n$ a\n```\n", "page")
    with pytest.raises(ValueError, match="before no block"):
        parse_blocks(f"{comment}\nwords\n", "page")
