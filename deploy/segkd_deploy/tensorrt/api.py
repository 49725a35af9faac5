"""One face for ``tensorrt`` 8.6 to 11 and ``tensorrt_rtx``: what a version has is found by name.

The integers behind TensorRT's enums change between versions (``STRONGLY_TYPED`` is bit 1 in 10.x and bit 0 in 11.x),
so nothing here holds one; and a name that a version may lack is asked for before it is used.

Source: the Python bindings of 8.6.1, 10.0 to 10.16, 11.4.0 and TensorRT-RTX 1.7.1, by introspection.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkd.errors import BackendMissing, MissingExtra, SegkdError, unknown_name

# Module -> the extra of segkd that brings it.
LIBRARIES: dict[str, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "rtx"}

_TEGRA_RELEASE = Path("/etc/nv_tegra_release")
# What TensorRT and CUDA say when there is no usable driver or GPU.
_NO_DEVICE = (
    "cuda initialization failure",
    "cudaerrorinsufficientdriver",
    "cudaerrornodevice",
    "no cuda-capable device",
    "driver version is insufficient",
    "cuda error 35",
    "cuda error 100",
    "error code 6: api usage error (unable to load library: libcuda",
)
_OTHER_GPU = ("different device", "compute capability", "incompatible device", "target gpu sm")
_OTHER_VERSION = ("version tag", "serialization assertion", "version of tensorrt", "engine plan file is not compatible")


@dataclass
class Messages:
    """What TensorRT has logged, oldest first: (severity, text)."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Texts of the errors, each once."""
        return list(dict.fromkeys(text for severity, text in self.lines if "ERROR" in severity))

    def said(self) -> str:
        """The errors as one line; without one, the warnings."""
        texts = self.problems() or list(dict.fromkeys(t for severity, t in self.lines if severity == "WARNING"))
        return "; ".join(" ".join(text.split()) for text in texts) or "it logged nothing"


@dataclass(frozen=True)
class TensorRT:
    """A loaded library.

    Attributes:
        module: ``tensorrt`` or ``tensorrt_rtx``.
        name: its name.
        version: its version.
        messages: what its logger kept.
        logger: its logger, which must outlive whatever was made with it.
    """

    module: Any
    name: str
    version: str
    messages: Messages
    logger: Any

    @property
    def is_rtx(self) -> bool:
        """Whether engines are finished on the device (TensorRT-RTX), so that building needs no GPU."""
        return self.name == "tensorrt_rtx"

    @property
    def strongly_typed(self) -> bool:
        """Whether networks can take their precision from the graph alone (10.0 and newer)."""
        return hasattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")

    def network_flags(self) -> int:
        """Flags for ``create_network``: strongly typed where it exists, else an explicit batch, which 8.x needs."""
        flags = self.module.NetworkDefinitionCreationFlag
        for name in ("STRONGLY_TYPED", "EXPLICIT_BATCH"):
            if hasattr(flags, name):
                return 1 << int(getattr(flags, name))
        return 0

    def builder_flag(self, name: str) -> Any:
        """A member of ``BuilderFlag``; None in versions that do not have it."""
        return getattr(self.module.BuilderFlag, name, None)


def load_tensorrt(name: str = "tensorrt") -> TensorRT:
    """Import a TensorRT.

    Args:
        name: a key of ``LIBRARIES``.

    Raises:
        SegkdError: for an unknown library, or one older than 8.6.
        BackendMissing: if it is not installed, or a shared library that it needs is not there.
    """
    if name not in LIBRARIES:
        raise unknown_name("TensorRT library", name, LIBRARIES)

    try:
        module: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if name == "tensorrt" and _TEGRA_RELEASE.exists():
            raise BackendMissing(
                "tensorrt is not importable; JetPack installs it for the system's Python: apt-get install "
                "python3-libnvinfer, and make the virtual environment with --system-site-packages"
            ) from error
        raise MissingExtra(error.name or name, LIBRARIES[name]) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendMissing(
            f"{name} is installed but does not load: {error}; install the shared libraries of that version "
            "(the wheel's libs package, or libnvinfer of your system) and check LD_LIBRARY_PATH"
        ) from error

    version = str(module.__version__)
    if name == "tensorrt" and _number(version) < (8, 6):
        raise SegkdError(f"tensorrt {version} is too old; segkd needs 8.6 or newer (JetPack 6)")
    messages = Messages()
    return TensorRT(module, name, version, messages, _make_logger(module, messages))


def explain(messages: Messages, what: str, library: str) -> SegkdError:
    """The error for something that TensorRT refused, from what it logged.

    Args:
        messages: what was logged.
        what: what was tried, as in "could not build the engine".
        library: name and version.

    Returns:
        ``BackendMissing`` for a missing driver or GPU, a library that is not there, or a plan of another GPU or
        version; else ``SegkdError``.
    """
    said = messages.said()
    lower = said.lower()
    if any(sign in lower for sign in _NO_DEVICE):
        return BackendMissing(f"{library} {what}: there is no usable NVIDIA driver or GPU here ({said})")
    if "unable to load library" in lower or "cannot open shared object" in lower:
        return BackendMissing(f"{library} {what}: a shared library is missing ({said})")
    if any(sign in lower for sign in _OTHER_GPU):
        return BackendMissing(f"{library} {what}: it was built for another GPU ({said}); build it on this one")
    if any(sign in lower for sign in _OTHER_VERSION):
        return BackendMissing(f"{library} {what}: it was built by another TensorRT ({said}); build it with this one")
    return SegkdError(f"{library} {what}: {said}")


def parser_errors(parser: Any) -> list[str]:
    """Every error of an ``OnnxParser``: node name, operator, what is wrong, and where the parser says so.

    Versions before 9.1 name the node by its index alone.
    """
    return [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]


def device_memory_bytes(engine: Any) -> int:
    """Device memory that an execution context of an engine takes, in bytes."""
    size = getattr(engine, "device_memory_size_v2", None)
    return int(engine.device_memory_size if size is None else size)


def _parser_error(error: Any) -> str:
    name = error.node_name() if hasattr(error, "node_name") else ""
    operator = error.node_operator() if hasattr(error, "node_operator") else ""
    index = error.node()
    node = f"node {name or f'number {index}'}" if name or index >= 0 else "the model"
    text = " ".join(str(error.desc()).split())
    return f"{node}{f' ({operator})' if operator else ''}: {text}"


def _make_logger(module: Any, messages: Messages) -> Any:
    """An object of a subclass of ``ILogger`` that keeps what it is told."""

    def start(self: Any) -> None:
        module.ILogger.__init__(self)

    def log(self: Any, severity: Any, text: str) -> None:
        messages.lines.append((str(severity.name), str(text)))

    return type("KeptMessages", (module.ILogger,), {"__init__": start, "log": log})()


def _number(version: str) -> tuple[int, int]:
    major, minor = [*version.split("."), "0"][:2]
    return int(major), int(minor)
