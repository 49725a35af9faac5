"""An artifact inside a product: ``labels = load("artifact/")(frame)``, without torch, onnx or a data set."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkd.errors import BackendMissing, MissingExtra, SegkdError
from segkd.files.small_files import one_line
from segkd_deploy.artifact import Artifact, open_artifact
from segkd_deploy.evaluate import crop_content, frame_of, label_frames, resize_frame, resize_labels
from segkd_deploy.inference.choice import Candidate, candidates, choose_variant
from segkd_deploy.runners import Runner, default_provider, open_runner
from segkd_deploy.runners.base import ProviderMissing

UNKNOWN_COLOUR = (255, 0, 255)
_NOT_INSTALLED, _NOT_IN_BUILD = "not installed", "not in this onnxruntime"


@dataclass(frozen=True)
class Stages:
    """Milliseconds of one call.

    Attributes:
        pre_ms: resizing and colours on the CPU, and waiting for other threads.
        infer_ms: the graph, copies to and from the device included.
        post_ms: labels back to the picture's size.
    """

    pre_ms: float
    infer_ms: float
    post_ms: float


class Model:
    """An open artifact: a frame in, its labels out. Made by :func:`load`.

    A context manager; without ``with``, call :meth:`close` to free the device. Calls from several threads are safe and
    run one after the other; to run them at the same time, load once per thread. It cannot be used in a forked process.

    Args:
        artifact: a verified artifact.
        variant: the variant that runs.
        runner: its open runner.
        resize: whether frames of another size are resized.
        not_here: the runtimes that would have been better, with what is missing.

    Attributes:
        variant: the variant that runs.
        names: class names; a label is an index into them.
        palette: RGB colour of every class.
        frame_shape: shape of the frames that the graph takes, (height, width, 3), or (height * 3/2, width) for NV12.
        frame_px: height and width of the frames.
        color: what a frame holds: ``RGB``, ``BGR`` or ``NV12``.
        labels_px: height and width of the labels.
        chosen: what was taken and why, one line.
        last_stages: times of the last call.
    """

    def __init__(
        self, artifact: Artifact, variant: str, runner: Runner, *, resize: bool, not_here: Sequence[str] = ()
    ) -> None:
        self.variant = variant
        self._used = runner.describe()
        name, version, provider = (self._used[key] for key in ("name", "version", "provider"))
        self.chosen = f"{artifact.folder.resolve().name}: variant {variant} on {name} {version}, {provider}"
        if not_here:
            self.chosen += f" ({'; '.join(not_here)})"

        self.names: tuple[str, ...] = tuple(artifact.class_names)
        self.palette = tuple(artifact.manifest.label_space.palette)
        self._spec = runner.spec
        self.frame_shape = self._spec.frames_shape(1)[1:]
        self.frame_px = (self._spec.height_px, self._spec.width_px)
        self.color = self._spec.color
        self.labels_px = self._spec.labels_shape(1)[1:]

        self.last_stages: Stages | None = None
        self._runner: Runner | None = runner
        self._resize = resize
        self._lock = threading.Lock()
        self._process = os.getpid()

        self._colours = np.full((256, 3), UNKNOWN_COLOUR, np.uint8)
        self._colours[: len(self.palette)] = self.palette

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label a frame as the camera gives it.

        Args:
            frame: uint8, of ``frame_shape`` and ``color``. With ``resize=True`` RGB and BGR frames of any size.

        Returns:
            uint8 (height, width) class indices, a new array. Their size is ``labels_px``; with ``resize=True`` the
            frame's own, without what a letterbox added.

        Raises:
            SegkdError: for a frame of another dtype or shape, or after ``close``.
        """
        self._check(frame)
        start_s = time.perf_counter()
        if not self._resize:
            return self._label(frame, None, start_s)
        fitted = frame if self.color == "NV12" else resize_frame(frame, self._spec.height_px, self._spec.width_px)
        return self._label(fitted, frame.shape[:2] if self.color != "NV12" else None, start_s)

    def label_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label an RGB picture of any size, whatever the camera's colours are: for files, not for cameras.

        Args:
            image: uint8 RGB (height, width, 3).

        Returns:
            uint8 (height, width) class indices at the picture's size.

        Raises:
            SegkdError: for a picture of another dtype or shape, or after ``close``.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise SegkdError(f"image: expected uint8 RGB (height, width, 3), got {image.dtype} {image.shape}")
        start_s = time.perf_counter()
        return self._label(frame_of(image, self._spec), (image.shape[0], image.shape[1]), start_s)

    def colour(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices (height, width) as uint8 RGB (height, width, 3); magenta where there is no such class."""
        coloured: NDArray[np.uint8] = self._colours[labels]
        return coloured

    def describe(self) -> dict[str, Any]:
        """Variant, runtime, version, provider and device that are really used.

        Raises:
            SegkdError: after ``close``.
        """
        self._open()
        return {"variant": self.variant, "chosen": self.chosen, "runtime": self._used}

    def close(self) -> None:
        """Free the device; more calls of ``close`` do nothing."""
        if self._process != os.getpid():
            return  # the session is the parent's; ending its threads here would wait for ever
        with self._lock:
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.__exit__(None, None, None)

    def __enter__(self) -> Model:
        """The model itself: it is open since it was loaded."""
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the device."""
        self.close()

    def _open(self) -> Runner:
        if self._process != os.getpid():
            raise SegkdError(
                "the model was loaded before this process was forked, and its threads are not here; load it in each "
                "process (with multiprocessing: start method spawn, or load in the worker)"
            )
        if self._runner is None:
            raise SegkdError("the model is closed; load it again")
        return self._runner

    def _check(self, frame: NDArray[np.uint8]) -> None:
        wanted = "x".join(map(str, self.frame_shape))
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise SegkdError(f"frame: expected a uint8 array {wanted} ({self.color}), got {found}")
        if frame.shape == self.frame_shape:
            return
        found = "x".join(map(str, frame.shape))
        if self.color == "NV12":
            raise SegkdError(f"frame: the graph takes NV12 {wanted} (1.5 * height x width) alone, got {found}")
        if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise SegkdError(f"frame: expected {self.color} {wanted}, got {found}")
        if not self._resize:
            raise SegkdError(
                f"frame: the graph takes {wanted}, got {found}; give that size, export with --frame "
                f"{frame.shape[0]}x{frame.shape[1]}, or load with resize=True"
            )

    def _label(self, frame: NDArray[np.uint8], size_px: tuple[int, ...] | None, start_s: float) -> NDArray[np.uint8]:
        self._open()  # before the lock, which a thread of the parent may hold for ever after a fork
        with self._lock:
            ready_s = time.perf_counter()
            labels = label_one(self._open(), frame)
            done_s = time.perf_counter()
        if size_px is not None:
            labels = resize_labels(crop_content(labels, self._spec), size_px[0], size_px[1])
        end_s = time.perf_counter()
        self.last_stages = Stages(1e3 * (ready_s - start_s), 1e3 * (done_s - ready_s), 1e3 * (end_s - done_s))
        return labels


def load(
    artifact: str | Path,
    *,
    variant: str | None = None,
    precision: str | None = None,
    runtime: str | None = None,
    provider: str | None = None,
    threads: int | None = None,
    resize: bool = False,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> Model:
    """Open an artifact; every file of it is hashed, and the first frame is already behind it.

    What is not named is chosen by what exists here, and ``say`` is told what was taken and why not another: the runtime
    is TensorRT, TensorRT-RTX, then onnxruntime on CUDA, then on the CPU; the variant is fp16 on a GPU if
    ``parity.json`` says that it passed, else fp32. int8 is taken only if it is named.

    Args:
        artifact: the folder.
        variant: a variant of its manifest.
        precision: instead of ``variant``: the variant of this precision that suits the runtime.
        runtime: ``onnxruntime``, ``tensorrt`` or ``tensorrt_rtx``; if it is missing here, that is an error.
        provider: what the runtime runs on; needs ``runtime``.
        threads: CPU threads inside an operator; None for one per physical core.
        resize: take RGB and BGR frames of any size: bilinear to the graph's size, labels back to the nearest.
        say: is told, in single lines, what was chosen and built; None writes to stderr.
        options: for the runner, such as ``cuda_graph=True`` or ``zero_copy=True`` of TensorRT; need ``runtime``.

    Raises:
        SegkdError: for an unknown variant or runtime, or options that contradict each other.
        GateFailed: if a file of the artifact has changed since the export.
        BackendMissing: if the runtime that was named, or every runtime, is missing here.
    """
    if variant is not None and precision is not None:
        raise SegkdError("variant and precision exclude each other; give one")
    if runtime is None and (provider is not None or options):
        given = ", ".join(["provider"] * (provider is not None) + sorted(options))
        raise SegkdError(f"{given}: for one runtime; name it with runtime=")
    say_line = say if say is not None else lambda line: print(f"segkd: {line}", file=sys.stderr)

    opened = open_artifact(Path(artifact))
    named = None if runtime is None else Candidate(runtime, provider or default_provider(runtime))
    missing: dict[str, str] = {}

    for candidate in [named] if named is not None else candidates(opened, variant):
        name = choose_variant(opened, candidate, variant, precision)
        more = {"say": say_line} if candidate.runtime != "onnxruntime" else {}
        try:
            runner = _open_runner(opened, name, candidate, threads=threads, **more, **options)
        except BackendMissing as error:
            if named is not None:
                raise
            missing[str(candidate)] = _reason(error)
            continue
        model = Model(opened, name, runner, resize=resize, not_here=_not_here(missing))
        if named is None or variant is None:
            say_line(model.chosen)
        return model
    reasons = "; ".join(f"{where}: {reason}" for where, reason in missing.items())
    raise BackendMissing(f"{opened.folder}: no runtime works here: {reasons}")


def _reason(error: BackendMissing) -> str:
    """Why a runtime that nobody named is not taken; not what to do about it, which follows a semicolon."""
    if isinstance(error, MissingExtra):
        return _NOT_INSTALLED
    if isinstance(error, ProviderMissing):
        return _NOT_IN_BUILD
    return str(error).partition("; ")[0]


def _not_here(missing: dict[str, str]) -> list[str]:
    """The runtimes that are not there, in few words; of those that are there and do not work also why."""
    absent = [where for where, reason in missing.items() if reason in (_NOT_INSTALLED, _NOT_IN_BUILD)]
    broken = [f"{where}: {one_line(reason, 120)}" for where, reason in missing.items() if where not in absent]
    return [*([f"not here: {', '.join(absent)}"] if absent else []), *broken]


def label_one(runner: Runner, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels of one frame of the graph's shape, whatever the graph's batch is."""
    single = runner.spec.batch in (None, 1)
    labels: NDArray[np.uint8] = (
        runner.infer(np.ascontiguousarray(frame[None])) if single else label_frames(runner, frame[None])
    )[0]
    return labels


def _open_runner(artifact: Artifact, variant: str, candidate: Candidate, **options: Any) -> Runner:
    """An open runner with its first call behind it: that one allocates and chooses kernels."""
    graph, spec = artifact.graph(variant), artifact.spec()
    runner = open_runner(graph, candidate.runtime, provider=candidate.provider, spec=spec, **options)
    runner.__enter__()
    try:
        label_one(runner, np.zeros(spec.frames_shape(1)[1:], np.uint8))
    except BaseException:
        runner.__exit__(*sys.exc_info())
        raise
    return runner
