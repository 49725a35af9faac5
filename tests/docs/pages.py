"""The code blocks of README and docs/, and what the pages say about how they are tested.

In a page, the line before a block may be one of these comments, which no reader sees:

    <!-- not run, REASON: words -->                      REASON is one of ``REASONS``; ``test_blocks.py`` counts them
    <!-- run shorter: train --iters 8; bench --duration 1 -->   options of ``SHORTER`` that the test adds to a command

A yaml block whose first line is ``# NAME.yaml`` is written to that file, as a reader would.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"console", "python", "yaml"}
REASONS = {
    "no-device": "a Jetson, an SSH host, or root on one",
    "no-network": "the internet",
    "no-gpu": "an NVIDIA GPU or TensorRT",
    "no-data": "a published data set or checkpoint",
    "no-docker": "a container engine",
    "too-long": "minutes to hours, and its parts are tested elsewhere",
    "a-piece": "a piece to put into something of the reader's",
}
SHORTER = {
    "train": {"--iters", "--batch"},
    "distill": {"--iters", "--batch"},
    "bench": {"--duration", "--iterations", "--cold-starts", "--warmup", "--no-peak"},
}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path below the repository.
        line: of its fence, from 1.
        language: of ``LANGUAGES``.
        text: what is between the fences.
        not_run: the reason, if the page says that it is not run.
        shorter: command -> options that the test adds.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str | None
    shorter: dict[str, list[str]]

    @property
    def place(self) -> str:
        """``page:line``, for messages."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """The typed commands of a console block: lines after ``$``, with the lines that a backslash continues."""
        text = self.text.replace("\\\n", " ")
        return [line[2:].strip() for line in text.splitlines() if line.startswith("$ ")]

    def file_name(self) -> str | None:
        """The file that a yaml block is the content of."""
        match = re.match(r"# ([\w-]+\.yaml)\b", self.text)
        return match[1] if match else None


def pages() -> list[str]:
    """README, the guide, then the other pages by name."""
    docs = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", "docs/guide.md", *(page for page in docs if page != "docs/guide.md")]


def read_blocks(page: str) -> list[Block]:
    """The blocks of a page that are typed or written by a reader, in order."""
    return parse_blocks((ROOT / page).read_text(encoding="utf-8"), page)


def parse_blocks(text: str, page: str) -> list[Block]:
    """The same for a text.

    Raises:
        ValueError: for a comment that is none of the above, or stands before no block.
    """
    blocks: list[Block] = []
    fence: tuple[int, str, str] | None = None
    content: list[str] = []
    comment = ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence is not None:
            if line.strip() != "```":
                content.append(line)
                continue
            if fence[1] in LANGUAGES:
                blocks.append(_block(page, fence[0], fence[1], "\n".join(content), fence[2]))
            fence, content = None, []
        elif line.startswith("```"):
            fence, comment = (number, line[3:].strip(), comment), ""
        elif line.startswith("<!--"):
            comment = line
        elif comment and line.strip():
            raise ValueError(f"{page}:{number}: {comment} stands before no block")
    return blocks


def _block(page: str, line: int, language: str, text: str, comment: str) -> Block:
    not_run: str | None = None
    shorter: dict[str, list[str]] = {}
    if match := re.fullmatch(r"<!-- not run, ([a-z-]+): \S.* -->", comment):
        not_run = match[1]
    elif match := re.fullmatch(r"<!-- run shorter: (.+) -->", comment):
        for part in match[1].split(";"):
            command, *options = shlex.split(part)
            shorter[command] = options
    elif comment:
        raise ValueError(f"{page}:{line}: not understood: {comment}")
    if not_run is not None and not_run not in REASONS:
        raise ValueError(f"{page}:{line}: {not_run} is no reason; known: {', '.join(REASONS)}")
    for command, options in shorter.items():
        names = {word for word in options if word.startswith("--")}
        if not names <= SHORTER.get(command, set()):
            raise ValueError(f"{page}:{line}: {command} may not be made shorter by {', '.join(sorted(names))}")
    return Block(page, line, language, text, not_run, shorter)


def words_of(command: str) -> list[str]:
    """A command's words, without the comment after it."""
    return shlex.split(command, comments=True)
