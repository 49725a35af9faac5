"""A reader who types the blocks of a page from its top, in a folder with pictures of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from segkd.cli import main
from segkd.data.street_scenes.scene import scene
from tests.docs.pages import Block, words_of

PICTURES = 40
HEIGHT_PX, WIDTH_PX = 96, 160
CLASSES = {"road": 7, "building": 11, "vegetation": 21, "sky": 23, "car": 26}
SHELL = set("|>&;*~")
"""Signs that only a shell understands."""


def own_things(folder: Path) -> None:
    """What a reader brings along: ``my_data``, a folder of pictures and masks, and a film ``drive.mp4``."""
    data = folder / "my_data"
    for part in ("images", "masks"):
        (data / part).mkdir(parents=True)
    film = cv2.VideoWriter(str(folder / "drive.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (WIDTH_PX, HEIGHT_PX))
    for index in range(PICTURES):
        image, ids = scene(5, index, HEIGHT_PX, WIDTH_PX)
        mask = np.full_like(ids, 255)
        for number, label in enumerate(CLASSES.values()):
            mask[ids == label] = number
        Image.fromarray(image).save(data / "images" / f"frame{index:04d}.png")
        Image.fromarray(mask).save(data / "masks" / f"frame{index:04d}.png")
        if index < 8:
            film.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    film.release()
    (data / "classes.yaml").write_text(f"names: [{', '.join(CLASSES)}]\n")


class Reader:
    """Types blocks in the present folder; remembers the names that a page's Python blocks made."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}

    def do(self, block: Block) -> None:
        """Type a console block, run a Python block, or write a yaml block to the file that it names."""
        if block.not_run is not None:
            return
        if block.language == "console":
            for command in block.commands():
                code = self.type(self._shorter(command, block))
                assert code == 0, f"{block.place}: exit code {code}: {command}"
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), self.names)
        elif (name := block.file_name()) is not None:
            Path(name).write_text(block.text + "\n", encoding="utf-8")

    def type(self, command: str) -> int:
        """Run one command line; segkd in this process, through its entry point, anything else in a shell."""
        words = words_of(command)
        if words[0] == "segkd" and not SHELL & set(" ".join(words)):
            return _segkd(words[1:])
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(["bash", "-c", command], env={**os.environ, "PATH": path}, timeout=300, check=False)
        return done.returncode

    @staticmethod
    def _shorter(command: str, block: Block) -> str:
        words = words_of(command)
        options = block.shorter.get(words[1], []) if words[0] == "segkd" and len(words) > 1 else []
        return shlex.join([*words, *options]) if options else command


def _segkd(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
