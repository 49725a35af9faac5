"""``torch:MODULE:CALLABLE``: any torch module that gives logits, as a teacher.

The callable is called without arguments and returns the module. What it may state by attributes:

- ``mean``, ``std``: three numbers each, RGB in 0..255, applied before the module sees the image; without them it sees
  RGB 0..255 as it is (N, 3, H, W), float32.
- ``class_names``: the names of its logits' channels, by which they are mapped to the data's.
- ``num_classes``: how many there are; without it, the module is run once on a black image of 64x128.
- ``align_corners``: how the logits are upsampled; False without it.

What the module's code prints goes to stderr, and what it raises ends in one line with the place in its file.

The output is logits (N, K, h, w), at any resolution, or a mapping with them under ``logits`` or ``out``, an object with
the attribute ``logits``, or a tuple that begins with them. A module that is a
:class:`segkd_distill.models.network.Network` is used as it is, with its taps.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkd.ending.users_code import users_error
from segkd.errors import SegkdError, unknown_name
from segkd_distill.models.adapters.logits import LogitsNetwork
from segkd_distill.models.checkpoints import load_into
from segkd_distill.models.checkpoints.files import read_file
from segkd_distill.models.checkpoints.wrappings import tensors_of
from segkd_distill.models.network import Network
from segkd_distill.models.sources import Teacher

PROBE_PX = (64, 128)
MAX_CLASSES = 255


def open_teacher(place: str, weights: str | Path | None, num_classes: int) -> Teacher:
    """Import, build and load a module.

    Args:
        place: ``MODULE:CALLABLE``; the current folder is searched first.
        weights: a weights file for the module, with its own names, or None if the callable has loaded them.
        num_classes: not used: the module tells.

    Raises:
        SegkdError: if it cannot be imported or built, is no torch module, does not fit the weights, or gives no logits.
    """
    called = f"torch:{place}"
    build = _callable(place)
    with users_code(called):
        module = build()
    if not isinstance(module, nn.Module):
        raise SegkdError(
            f"{called} gave {type(module).__name__}; expected a torch.nn.Module, as `def {place.rpartition(':')[2]}(): "
            "return MyNetwork()` gives"
        )
    module.eval()
    if weights is not None:
        load_into(module, tensors_of(read_file(weights).tensors, module.state_dict()))
    class_names = _class_names(module, called)
    network = module if isinstance(module, Network) else UserModule(module, called)
    if class_names is not None and len(class_names) != network.num_classes:
        raise SegkdError(f"{called} has {len(class_names)} class names and {network.num_classes} classes")
    return Teacher(network, class_names)


@contextlib.contextmanager
def users_code(called: str) -> Iterator[None]:
    """Run code that a user wrote: prints go to stderr, an exception becomes one line with the place in their file.

    Lack of memory is no fault of theirs and passes.

    Args:
        called: what the user named, for the line.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise users_error(called, error) from error


def _class_names(module: nn.Module, called: str) -> tuple[str, ...] | None:
    names = getattr(module, "class_names", None)
    if names is None:
        return None
    if not isinstance(names, Mapping | list | tuple):
        raise SegkdError(f"{called}: class_names must be a list of names, got {type(names).__name__}")
    return tuple(str(name) for name in (names.values() if isinstance(names, Mapping) else names))


def _callable(place: str) -> Callable[[], Any]:
    module_name, colon, attribute = place.partition(":")
    if not colon or not module_name or not attribute:
        raise SegkdError(f"torch:{place}: expected torch:MODULE:CALLABLE, as in torch:my_nets:teacher")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        with users_code(f"torch:{place}"):
            module = importlib.import_module(module_name)
    except SegkdError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name == module_name.partition(".")[0]:
            raise SegkdError(f"torch:{place}: {cause}; it is searched in this folder and where Python looks") from cause
        raise
    finally:
        sys.path.remove(here)
    found = getattr(module, attribute, None)
    if not callable(found):
        raise unknown_name(f"callable of {module_name}", attribute, [n for n, v in vars(module).items() if callable(v)])
    return found


class UserModule(LogitsNetwork):
    """A user's module behind the interface of a network without taps.

    Args:
        module: gives logits.
        called: its name, for messages.
    """

    def __init__(self, module: nn.Module, called: str) -> None:
        mean, std = _three(module, "mean", 0.0, called), _three(module, "std", 1.0, called)
        if not all(std):
            raise SegkdError(f"{called}: std must not be 0, got {list(std)}")
        align_corners = bool(getattr(module, "align_corners", False))
        super().__init__(_count(module, mean, std, called), mean=mean, std=std, align_corners=align_corners)
        self.module = module
        self.called = called

    def logits(self, pixels: Tensor) -> Tensor:
        """The module's logits."""
        # The exporter has to see the exceptions themselves; export explains them.
        if torch.compiler.is_exporting():
            return _logits_of(self.module(pixels), self.called)
        with users_code(self.called):
            output = self.module(pixels)
        return _logits_of(output, self.called)


def _three(module: nn.Module, name: str, default: float, called: str) -> tuple[float, ...]:
    values = getattr(module, name, None)
    if values is None:
        return (default,) * 3
    try:
        numbers = tuple(float(value) for value in torch.as_tensor(values).flatten())
    except (TypeError, ValueError, RuntimeError) as error:
        raise SegkdError(f"{called}: {name} must be three numbers, RGB in 0..255, got {values!r:.60}") from error
    if len(numbers) != 3:
        raise SegkdError(f"{called}: {name} must be three numbers, RGB in 0..255, got {len(numbers)}")
    return numbers


def _count(module: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], called: str) -> int:
    """The number of classes, as the module tells or shows it."""
    stated = getattr(module, "num_classes", None)
    if isinstance(stated, int) and not isinstance(stated, bool):
        if not 1 <= stated <= MAX_CLASSES:
            raise SegkdError(f"{called}: num_classes is {stated}; masks of 8 bits have 1 to {MAX_CLASSES} classes")
        return stated
    black = (torch.zeros(1, 3, *PROBE_PX) - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    with torch.no_grad(), users_code(called):
        output = module(black)
    logits = _logits_of(output, called)
    if logits.ndim != 4:
        raise SegkdError(f"{called}: expected logits (N, K, height, width), got {tuple(logits.shape)}")
    return logits.shape[1]


def _logits_of(output: Any, called: str) -> Tensor:
    found = output
    if isinstance(output, Mapping):
        found = output.get("logits", output.get("out"))
    elif hasattr(output, "logits"):
        found = output.logits
    elif isinstance(output, tuple | list) and output:
        found = output[0]
    if not isinstance(found, Tensor):
        raise SegkdError(
            f"{called} gave {type(output).__name__} without logits; expected a tensor (N, K, height, width), a mapping "
            "with logits or out, or a tuple that begins with them"
        )
    return found
