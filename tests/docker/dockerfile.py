"""What a Dockerfile says, for the tests: instructions in order, with build arguments put in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_SHORT_FLAG = re.compile(r"^--[a-z]+=\S+\s+")
_MOUNT = re.compile(r"--mount=(\S+)")


@dataclass
class Stage:
    """One FROM and what follows it.

    Attributes:
        image: what it starts from, build arguments put in.
        name: after AS.
        steps: (instruction, text) in order.
    """

    image: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def texts(self, instruction: str) -> list[str]:
        """The texts of one kind of instruction."""
        return [text for kind, text in self.steps if kind == instruction]

    def sources(self) -> list[str]:
        """Paths of the build context that COPY and bind mounts read."""
        found: list[str] = []
        for text in self.texts("COPY"):
            if not text.startswith("--from="):
                found += _SHORT_FLAG.sub("", text).split()[:-1]
        for text in self.texts("RUN"):
            for mount in _MOUNT.findall(text):
                options = dict(part.split("=", 1) for part in mount.split(",") if "=" in part)
                if options.get("type") == "bind" and "from" not in options:
                    found.append(options["source"])
        return found


def read_stages(path: Path, **arguments: str) -> list[Stage]:
    """The stages of a Dockerfile; ``arguments`` are given as by ``--build-arg``."""
    values: dict[str, str] = {}
    stages: list[Stage] = []
    for kind, text in _instructions(path):
        if kind == "ARG" and not stages:
            name, default = text.split("=", 1)
            values[name] = arguments.get(name, default)
        elif kind == "FROM":
            image, _, name = _SHORT_FLAG.sub("", text).partition(" AS ")
            stages.append(Stage(re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], image), name))
        else:
            stages[-1].steps.append((kind, text))
    return stages


def _instructions(path: Path) -> list[tuple[str, str]]:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    pairs = (line.split(maxsplit=1) for line in joined.splitlines())
    return [(kind, text) for kind, text in pairs]
