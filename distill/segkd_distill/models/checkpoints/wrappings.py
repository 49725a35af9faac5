"""Where in a checkpoint its network lies: under which key, and under which prefix of the tensors' names.

Training programs wrap a state dict in ever other ways. Here the largest mapping of names to tensors is taken, whatever
its key, and of its tensors those under the prefix that makes them a network of a known format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from segkd.errors import SegkdError
from segkd_distill.models.checkpoints.formats import detect

# Of several state dicts as large, the one under the first of these is taken.
PREFERRED = ("state_dict", "model", "model_state_dict", "model_state", "student", "net", "network", "module")
# Keys and prefixes of weights that are a mean over training steps.
AVERAGED = re.compile(r"(^|[._])(ema|params_ema|state_dict_ema|averaged?|swa|shadow|polyak)([._]|$)|_ema$|^ema", re.I)
# Keys whose mappings hold tensors that are no weights.
_NO_WEIGHTS = re.compile(r"optim|sched|scaler|callback|loops|meta|message_hub|rng|discriminator", re.I)
# Prefixes that wrappers (DDP, torch.compile, mmrazor, ...) put before every parameter's name.
PREFIXES = ("module.", "_orig_mod.", "model.", "student.", "architecture.")
# Names that lie beside a network in a checkpoint and are no part of it: teachers, losses, metrics.
STRANGERS = re.compile(
    r"(teacher|distiller|data_preprocessor|criterion|criteria|metrics?|confmat|(train|val|valid|test)_\w+"
    r"|\w*(loss|iou|accuracy)(_\w+)?|n_averaged)(\.|$)|loss_decode|decode_head\.loss_decode"
)
# The last part of a prefix that is a part of a network, not a wrapper around one.
_PARTS = re.compile(r"(backbone|encoder|decoder|features|body|layer\d*|stages?|blocks?|\w*head|segformer|\d+)$")
_DEPTH = 4


@dataclass(frozen=True)
class StateDict:
    """A mapping of names to tensors in a checkpoint.

    Attributes:
        tensors: name -> tensor, names as in the file.
        key: where it lies, as ``model.state_dict``; "" for the checkpoint itself.
        others: keys of further ones as large, which were not taken.
    """

    tensors: dict[str, Tensor]
    key: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkTensors:
    """The tensors of a network among those of a state dict.

    Attributes:
        tensors: name -> tensor, the prefix taken off.
        left_out: names of the others, but for what always lies beside a network.
        prefix: what was taken off.
        others: further prefixes under which a network lies, which were not taken.
    """

    tensors: dict[str, Tensor]
    left_out: tuple[str, ...] = ()
    prefix: str = ""
    others: tuple[str, ...] = ()


def find_state_dict(content: Any, key: str | None = None) -> StateDict:
    """The state dict of a checkpoint.

    Args:
        content: what the file holds.
        key: which one to take; by default the largest, weights before their averages.

    Raises:
        SegkdError: for a key that is not there, naming those that are.
    """
    found = dict(_mappings(content))
    largest = max((len(tensors) for tensors in found.values()), default=0)
    alike = {name: tensors for name, tensors in found.items() if 2 * len(tensors) >= largest}
    if key is not None and key in found:
        return StateDict(found[key], key)
    if not alike:
        return StateDict({})
    first = min(alike, key=lambda name: (_rank(name), -len(alike[name])))
    if key is not None and not any(name.startswith(f"{key}.") for name in alike[first]):
        raise SegkdError(f"has no weights under {key!r}; it has {_some(found)}")
    return StateDict(alike[first], first, tuple(name for name in alike if name != first))


def find_network(tensors: Mapping[str, Tensor], prefix: str | None = None) -> NetworkTensors:
    """The network among tensors: what lies under a prefix, if there is one, without what lies beside it.

    Args:
        tensors: names as in the file.
        prefix: which one to take; by default the one that gives a network of a known format.
    """
    if prefix is not None and any(name.startswith(f"{prefix}.") for name in tensors):
        inner = strip_prefixes(_under(tensors, f"{prefix}."))
        return NetworkTensors(inner, tuple(n for n in tensors if not n.startswith(f"{prefix}.")), prefix)
    plain = strip_prefixes(tensors)
    if detect(plain) is not None:
        return NetworkTensors(plain)
    found = {
        start: inner
        for start in _prefixes(tensors)
        if detect(inner := strip_prefixes(_under(tensors, start))) is not None
    }
    if not found:
        return NetworkTensors(plain)
    first = min(found, key=lambda start: (_rank(start.rstrip(".")), -len(found[start]), len(start)))
    others = tuple(start.rstrip(".") for start in found if not start.startswith(first) and not first.startswith(start))
    left_out = tuple(name for name in tensors if not name.startswith(first))
    return NetworkTensors(found[first], left_out, first.rstrip("."), others)


def tensors_of(tensors: Mapping[str, Tensor], names: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors under the prefix that gives most of ``names``, for a network whose names are known.

    Args:
        tensors: names as in the file.
        names: the network's.
    """
    starts = ["", *_prefixes(tensors)]
    best = max(starts, key=lambda start: sum(start + name in tensors for name in names))
    inner = _under(tensors, best)
    return {name: tensor for name, tensor in inner.items() if name in names or not STRANGERS.match(name)}


def strip_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off, repeatedly, a prefix that all names have, and drop what is known to lie beside a network."""
    current = dict(tensors)
    while True:
        own = {name: tensor for name, tensor in current.items() if not STRANGERS.match(name)}
        prefix = next((p for p in PREFIXES if own and all(name.startswith(p) for name in own)), None)
        if prefix is None:
            return own
        current = _under(own, prefix)


def _mappings(content: Any, key: str = "", depth: int = 0) -> list[tuple[str, dict[str, Tensor]]]:
    """Every mapping that holds tensors under names, with its key."""
    if not isinstance(content, Mapping) or depth > _DEPTH:
        return []
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    found = [(key, tensors)] if tensors else []
    for name, value in content.items():
        if isinstance(name, str) and not _NO_WEIGHTS.search(name):
            found += _mappings(value, f"{key}.{name}" if key else name, depth + 1)
    return found


def _rank(name: str) -> tuple[bool, int]:
    """Weights before their averages and before a teacher's, usual names before others."""
    last = name.rpartition(".")[2]
    usual = [place for place, preferred in enumerate(PREFERRED) if preferred in (name, last)]
    return bool(AVERAGED.search(name)) or "teacher" in name, min(usual, default=len(PREFERRED))


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """The wrappers' prefixes among names, up to three parts, the short ones first."""
    found: dict[str, None] = {}
    for depth in (1, 2, 3):
        for name in tensors:
            parts = name.split(".")
            inside = parts[:depth]
            if len(parts) > depth and not any(_PARTS.match(part) for part in inside):
                found[".".join(inside) + "."] = None
    return list(found)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _some(found: Mapping[str, Mapping[str, Tensor]]) -> str:
    named = [f"{name or 'the file itself'} ({len(tensors)} tensors)" for name, tensors in found.items()]
    return ", ".join(named[:6]) or "none"
