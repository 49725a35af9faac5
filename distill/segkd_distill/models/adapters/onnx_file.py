"""An ONNX file as a teacher: its logits, computed by onnxruntime.

Accepted are graphs with one input and logits (N, K, h, w) among their outputs, at any resolution:

- uint8 (N, H, W, 3), RGB as a camera gives it: ``segkd export``'s ``model.fp32.logits.onnx``. Training distorts colours
  in float; pixels are rounded for such a graph.
- float32 or float16 (N, 3, H, W), RGB: ``(pixel - mean) / std`` with what ``NAME.json`` beside ``NAME.onnx`` says, in
  0..255; pixels 0..255 as they are without it.

``NAME.json`` may have the keys ``mean``, ``std``, ``names`` (of the classes) and ``align_corners``. Beside an exported
artifact's graphs, ``manifest.json`` gives the names. A graph with a fixed batch is run several times; one with a fixed
height and width takes images of that size only.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkd.errors import SegkdError, import_extra, unknown_name
from segkd.files import read_json
from segkd.folders import ArtifactFiles
from segkd_distill.models.adapters.logits import LogitsNetwork
from segkd_distill.models.sources import Teacher

KEYS = ("align_corners", "mean", "names", "std")
BYTES = "tensor(uint8)"
DTYPES: dict[str, type[np.generic]] = {BYTES: np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


def open_teacher(place: str, weights: str | Path | None, num_classes: int) -> Teacher:
    """Open an ONNX file.

    Args:
        place: the file.
        weights: must be None: the file has them.
        num_classes: not used: the file tells.

    Raises:
        SegkdError: if it is not there, cannot be read, or is none of the accepted graphs.
        MissingExtra: if onnxruntime is not installed.
    """
    if weights is not None:
        raise SegkdError(f"teacher {place} is an ONNX file and has its own weights; leave out {weights}")
    path = Path(place).expanduser()
    if not path.is_file():
        raise SegkdError(f"no ONNX file {path} for the teacher")
    settings = _settings(path)
    network = OnnxFile(OnnxGraph(path), settings)
    names = settings.get("names") or _manifest_names(path)
    if names is not None and len(names) != network.num_classes:
        raise SegkdError(f"{path} has {network.num_classes} classes, but {len(names)} names beside it")
    return Teacher(network, None if names is None else tuple(map(str, names)))


def _settings(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    values = read_json(beside)
    if not isinstance(values, dict):
        raise SegkdError(f"{beside}: expected an object with the keys {', '.join(KEYS)}")
    for key in values:
        if key not in KEYS:
            raise unknown_name(f"key of {beside}", key, KEYS)
    for key in ("mean", "std"):
        numbers = values.get(key, [1, 1, 1])
        if not isinstance(numbers, list) or len(numbers) != 3 or not all(isinstance(n, int | float) for n in numbers):
            raise SegkdError(f"{beside}: {key} must be three numbers, RGB in 0..255, got {numbers!r}")
    if not all(values.get("std", [1])):
        raise SegkdError(f"{beside}: std must not be 0")
    return values


def _manifest_names(path: Path) -> list[str] | None:
    """The class names of the artifact that the file lies in."""
    manifest = path.with_name(ArtifactFiles.MANIFEST)
    if not manifest.is_file():
        return None
    values = read_json(manifest)
    labels = values.get("label_space") if isinstance(values, dict) else None
    names = labels.get("names") if isinstance(labels, dict) else None
    return names if isinstance(names, list) else None


@dataclass(frozen=True)
class GraphInput:
    """What a graph takes.

    Attributes:
        name: of the input.
        dtype: uint8 for frames (N, H, W, 3), a float type for images (N, 3, H, W).
        batch: images per call; None for any number.
        size: height and width in pixels; None for any.
    """

    name: str
    dtype: type[np.generic]
    batch: int | None
    size: tuple[int | None, int | None]

    @classmethod
    def of(cls, path: Path, session: Any) -> GraphInput:
        """Read a session's input.

        Raises:
            SegkdError: if it is none of the accepted ones.
        """
        inputs = session.get_inputs()
        shape = [size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape]
        known = len(inputs) == 1 and len(shape) == 4 and inputs[0].type in DTYPES
        if known and inputs[0].type == BYTES and shape[3] == 3:
            return cls(inputs[0].name, np.uint8, shape[0], (shape[1], shape[2]))
        if known and inputs[0].type != BYTES and shape[1] == 3:
            return cls(inputs[0].name, DTYPES[inputs[0].type], shape[0], (shape[2], shape[3]))
        found = ", ".join(f"{item.name} {item.type} {item.shape}" for item in inputs)
        raise SegkdError(f"{path} takes {found}; expected one input, uint8 (N, H, W, 3) or float (N, 3, H, W), RGB")


def _logits_output(path: Path, session: Any) -> tuple[str, int | None]:
    """Name and channels (None if not fixed) of the output called logits, or else of the first float map."""
    maps = [
        item for item in session.get_outputs() if len(item.shape) == 4 and item.type in DTYPES and item.type != BYTES
    ]
    named = [item for item in maps if item.name == "logits"] or maps
    if not named:
        found = ", ".join(f"{item.name} {item.type} {item.shape}" for item in session.get_outputs())
        raise SegkdError(
            f"{path} gives {found}, but a teacher needs logits, float (N, K, h, w); of an exported artifact take "
            "model.fp32.logits.onnx"
        )
    channels = named[0].shape[1]
    return named[0].name, channels if isinstance(channels, int) and channels > 0 else None


class OnnxGraph:
    """A session, as a function from images to logits.

    Args:
        path: the file.

    Attributes:
        input: what it takes.
        num_classes: channels of its logits.

    Raises:
        SegkdError: if it cannot be opened or is none of the accepted graphs.
        MissingExtra: if onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        runtime = import_extra("onnxruntime", "ort")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        available = runtime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise SegkdError(f"{path}: onnxruntime cannot open it ({_one_line(error)})") from error
        print(f"teacher {path}: runs on {self._session.get_providers()[0]} of onnxruntime", file=sys.stderr)
        self.path = path
        self.input = GraphInput.of(path, self._session)
        self._output, channels = _logits_output(path, self._session)
        if channels is None:
            height, width = self.input.size
            channels = self.run(np.zeros((1, 3, height or 64, width or 128), np.float32)).shape[1]
        self.num_classes = channels

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, K, h, w) of images (N, 3, H, W).

        Raises:
            SegkdError: if onnxruntime fails.
        """
        step = self.input.batch or len(images)
        return np.concatenate([self._call(images[first : first + step]) for first in range(0, len(images), step)])

    def _call(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of at most a batch of images; a smaller batch is filled up with its last image."""
        count, batch = len(images), self.input.batch or len(images)
        if count < batch:
            images = np.concatenate([images, np.repeat(images[-1:], batch - count, 0)])
        feed: NDArray[Any] = images.astype(self.input.dtype)
        if self.input.dtype is np.uint8:
            feed = np.ascontiguousarray(images.round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))
        try:
            (found,) = self._session.run([self._output], {self.input.name: feed})
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise SegkdError(f"{self.path}: onnxruntime failed ({_one_line(error)})") from error
        logits: NDArray[np.float32] = found[:count].astype(np.float32)
        return logits


class OnnxFile(LogitsNetwork):
    """A graph behind the interface of a network without taps.

    Args:
        graph: the graph.
        settings: what ``NAME.json`` says.
    """

    def __init__(self, graph: OnnxGraph, settings: dict[str, Any]) -> None:
        if graph.input.dtype is np.uint8 and settings.keys() & {"mean", "std"}:
            raise SegkdError(
                f"{graph.path} takes uint8 frames and normalises them itself: remove mean and std beside it"
            )
        super().__init__(
            graph.num_classes,
            mean=settings.get("mean", (0.0, 0.0, 0.0)),
            std=settings.get("std", (1.0, 1.0, 1.0)),
            align_corners=bool(settings.get("align_corners", False)),
        )
        self.graph = graph

    def input_size(self) -> tuple[int | None, int | None] | None:
        """The graph's, where one of its edges is fixed."""
        return self.graph.input.size if any(self.graph.input.size) else None

    def logits(self, pixels: Tensor) -> Tensor:
        """The graph's logits, float32, on the device of the pixels."""
        return torch.from_numpy(self.graph.run(pixels.float().cpu().numpy())).to(pixels.device)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
