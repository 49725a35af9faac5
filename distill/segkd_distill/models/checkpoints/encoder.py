"""Weights of a timm encoder: under timm's names, or under those of a port of the same network to torch.

timm's networks of features bear the names of timm's own, but for first levels that it flattens (``stages_0`` for
``stages.0``). Ports such as lukemelas' EfficientNet call the same tensors otherwise; they are told by their order and
shapes alone, which is said aloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from segkd.errors import SegkdError
from segkd_distill.models.catalogue.weights_table import find_weights
from segkd_distill.models.checkpoints.files import read_file
from segkd_distill.models.checkpoints.formats.timm import config_normalisation
from segkd_distill.models.checkpoints.report import LoadReport, some

# What a tensor is; two that are matched by order must agree in it.
_KINDS = ("weight", "bias", "running_mean", "running_var")
_COUNTER = "num_batches_tracked"


def load_encoder(body: nn.Module, path: Path | str) -> LoadReport:
    """Load a file into timm's network of features; prints nothing.

    Args:
        body: the network.
        path: a weights file, its tensors under timm's names or in the order of the network's.

    Returns:
        What was loaded and what was left out, with the normalisation of the ``config.json`` beside the file.

    Raises:
        SegkdError: if the file cannot be read or does not fit.
    """
    found = find_weights(path)
    file = read_file(found)
    own = _without_counters(body.state_dict())
    theirs = _without_counters(file.tensors)
    how, notes = "timm", file.notes
    try:
        match = match_names(own, theirs)
        if match is None:
            match = _match_other_names(own, theirs, ordered=found.suffix != ".safetensors")
            pairs = [f"{ours} <- {name}" for ours, name in match.items()]
            how, notes = "other names", (*notes, f"matched by order and shape, not by name: {some(pairs)}")
    except SegkdError as error:
        raise SegkdError(f"{found}: {error}") from error

    body.load_state_dict({ours: theirs[name] for ours, name in match.items()}, strict=False)
    used = set(match.values())
    left_out = tuple(name for name in theirs if name not in used)
    return LoadReport(tuple(match), (), left_out, (), how, notes, config_normalisation(found))


def match_names(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, str] | None:
    """The file's name for each of the network's tensors, by name; None if one is not there under its name.

    Args:
        own: the network's tensors.
        theirs: the file's; their names may have a prefix in common.

    Raises:
        SegkdError: if the names are the network's, but shapes are not.
    """
    plain_own = _plain(own)
    start = "model." if all(plain.startswith("model.") for plain in plain_own) else ""
    plain_own = {plain[len(start) :]: name for plain, name in plain_own.items()}
    plain_theirs = _plain(theirs)

    # The prefix under which most of the network lies, tried at its first tensor and its last.
    ends = (next(iter(plain_own)), list(plain_own)[-1])
    prefixes = {name[: -len(end)] for name in plain_theirs for end in ends if f".{name}".endswith(f".{end}")}
    covered = {prefix: sum(prefix + plain in plain_theirs for plain in plain_own) for prefix in prefixes}
    prefix = max(covered, key=lambda candidate: covered[candidate], default="")
    if covered.get(prefix, 0) < len(plain_own):
        return None

    match = {name: plain_theirs[prefix + plain] for plain, name in plain_own.items()}
    other = [name for name in own if own[name].shape != theirs[match[name]].shape]
    if other:
        raise SegkdError(
            f"{len(other)} of the encoder's {len(own)} tensors have another shape in the file "
            f"({_shape(other[0], own)} for {_shape(match[other[0]], theirs)}); it is another encoder's"
        )
    return match


def _match_other_names(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *, ordered: bool) -> dict[str, str]:
    """By order, where the file keeps it; a file of timm's that lacks something is told as that."""
    plain = _plain(theirs)
    missing = [name for dotted, name in _plain(own).items() if dotted not in plain]
    lacking = f"lacks {len(missing)} of the encoder's {len(own)} tensors ({some(missing)})"
    if not ordered:
        raise SegkdError(
            f"{lacking}; it has others ({some(theirs)}), but a .safetensors file does not keep their order: give the "
            "file of torch.save (.pth, .pt)"
        )
    try:
        return match_order(own, theirs)
    except SegkdError as error:
        raise SegkdError(lacking if 2 * len(missing) < len(own) else str(error)) from error


def match_order(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, str]:
    """The file's name for each of the network's tensors, by order; what the file has more must be its end.

    Args:
        own: the network's tensors, in its order.
        theirs: the file's, in its order.

    Raises:
        SegkdError: if the file has fewer, or shape or kind of a pair disagree.
    """
    if len(theirs) < len(own):
        raise SegkdError(
            f"has {len(theirs)} tensors, the encoder {len(own)}; it is another encoder's, or a part of one"
        )
    match = dict(zip(own, theirs, strict=False))
    for place, (ours, name) in enumerate(match.items(), 1):
        kinds = {_kind(ours), _kind(name)} - {None}
        if own[ours].shape != theirs[name].shape or len(kinds) > 1:
            raise SegkdError(
                "its tensors have neither the encoder's names nor its order: of "
                f"{len(own)}, number {place} is {_shape(ours, own)} there and {_shape(name, theirs)} in the file; give "
                "the file of this encoder"
            )
    return match


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTER)}


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Name with every ``_`` a dot -> name."""
    return {name.replace("_", "."): name for name in tensors}


def _kind(name: str) -> str | None:
    last = name.rpartition(".")[2]
    return last if last in _KINDS else None


def _shape(name: str, tensors: Mapping[str, Tensor]) -> str:
    return f"{name} {tuple(tensors[name].shape)}"
