"""Networks to learn from: frozen, in evaluation mode, with the classes of the data."""

from __future__ import annotations

from pathlib import Path

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError, unknown_name
from segkd_distill.models.checkpoints import load_into, load_tensors
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.zoo import MODELS, build_model
from segkd_distill.runs import is_run, load_run

CLASSIFIER = "decode_head.conv_seg.weight"


def load_teacher(model: str | Path, weights: str | Path | None, label_space: LabelSpace) -> Segmenter:
    """Load a teacher.

    Args:
        model: a run folder, or a model's name.
        weights: weights file; needed for a name, refused for a run folder, which has its own.
        label_space: the classes of the data.

    Returns:
        The network in evaluation mode; no parameter asks for a gradient.

    Raises:
        SegkdError: for a name without weights, weights that do not fit, or other classes than the data's.
    """
    if Path(model).expanduser().is_dir():
        if weights is not None:
            raise SegkdError(f"teacher {model} is a run folder and has its own weights; leave out {weights}")
        teacher = _from_run(Path(model).expanduser(), label_space)
    else:
        teacher = _from_zoo(str(model), weights, label_space)
    return teacher.eval().requires_grad_(False)


def _from_run(folder: Path, label_space: LabelSpace) -> Segmenter:
    if not is_run(folder):
        raise SegkdError(f"teacher {folder} is a folder without model.json; give a run folder or a model's name")
    run = load_run(folder)
    theirs, ours = run.label_space.names, label_space.names
    if len(theirs) != len(ours):
        raise _other_classes(str(folder), len(theirs), len(ours))
    if theirs != ours:
        index = next(i for i, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
        raise SegkdError(
            f"teacher {folder} has other classes than the data: class {index} is {theirs[index]!r} for the teacher "
            f"and {ours[index]!r} in the data; use a teacher trained on these classes"
        )
    return run.model


def _from_zoo(name: str, weights: str | Path | None, label_space: LabelSpace) -> Segmenter:
    if name not in MODELS:
        if "/" in name or name.startswith((".", "~")):
            raise SegkdError(f"no run folder {name} for the teacher")
        raise unknown_name("teacher", name, MODELS)
    if weights is None:
        raise SegkdError(
            f"teacher {name} needs weights: nothing falls back to random weights; give a weights file or a run folder"
        )
    tensors = load_tensors(weights)
    if CLASSIFIER in tensors and len(tensors[CLASSIFIER]) != label_space.num_classes:
        raise _other_classes(f"{name} ({weights})", len(tensors[CLASSIFIER]), label_space.num_classes)
    teacher = build_model(name, label_space.num_classes)
    if not any(tensor.startswith("auxiliary_head.") for tensor in tensors):
        # A teacher never runs its auxiliary head; many published files leave it out.
        teacher.auxiliary_head = None
    try:
        load_into(teacher, tensors)
    except SegkdError as error:
        raise SegkdError(f"teacher {name} ({weights}): {error}") from error
    return teacher


def _other_classes(teacher: str, theirs: int, ours: int) -> SegkdError:
    return SegkdError(
        f"teacher {teacher} has {theirs} classes, the data {ours}; use a teacher trained on these classes"
    )
