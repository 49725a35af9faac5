"""Networks to learn from: frozen, in evaluation mode, with the classes of the data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from segkd.data.base import LabelSpace
from segkd.errors import SegkdError, unknown_name
from segkd.folders import is_run
from segkd_distill.models.checkpoints import read_checkpoint
from segkd_distill.models.checkpoints.inspect import fitting_models
from segkd_distill.models.checkpoints.loading import load_checkpoint
from segkd_distill.models.network import Network
from segkd_distill.models.saved_model import load_run
from segkd_distill.models.sources import Teacher, is_foreign, open_foreign_teacher
from segkd_distill.models.teachers.class_map import map_classes
from segkd_distill.models.teachers.fitted_teacher import Fit, fitted
from segkd_distill.models.teachers.mapped_teacher import MappedTeacher
from segkd_distill.models.zoo import MODELS, build_model


def load_teacher(
    model: str | Path,
    weights: str | Path | None,
    label_space: LabelSpace,
    class_map: Mapping[str, str | None] | None = None,
    *,
    fit: Fit | None = None,
) -> Network:
    """Load a teacher.

    Its classes are brought into the data's order by name; a table on stderr shows how, unless they are the same
    already and no ``class_map`` is given. Where nothing tells the teacher's class names, ``class_map`` calls them
    ``"0"``, ``"1"``, ...; without it there must be as many as the data have, and they are taken to be those.

    Args:
        model: a run folder, a model's name, ``hf:``, ``timm:`` or ``torch:`` with what to open, or an ONNX file.
        weights: weights file; needed for a model's name, refused for what has its own.
        label_space: the classes of the data.
        class_map: teacher class -> class of the data, or None for one that is left out; classes of the same name need
            not be listed.
        fit: how images of any size reach a network that takes one size only.

    Returns:
        The network in evaluation mode; no parameter asks for a gradient.

    Raises:
        SegkdError: for a name without weights, weights that do not fit, or classes that cannot be mapped.
        MissingExtra: if the library that opens it is not installed.
    """
    name = str(model)
    folder = Path(model).expanduser()
    if is_foreign(name):
        opened = open_foreign_teacher(name, weights, label_space.num_classes)
    elif folder.is_dir():
        if weights is not None:
            raise SegkdError(f"teacher {model} is a run folder and has its own weights; leave out {weights}")
        opened = _from_run(folder)
    else:
        opened = _from_zoo(name, weights)
    called = name if weights is None else f"{name} ({weights})"
    opened = opened._replace(network=fitted(opened.network, fit, f"teacher {called}"))
    network = with_classes_of(label_space, opened, class_map, called=called)
    return network.eval().requires_grad_(False)


def with_classes_of(
    label_space: LabelSpace,
    opened: Teacher,
    class_map: Mapping[str, str | None] | None,
    *,
    called: str,
    role: str = "teacher",
    option: str = "teacher.class_map",
) -> Network:
    """A network with the classes of the data, in their order; a table on stderr shows how.

    Args:
        label_space: the classes of the data.
        opened: the network, and the names of its classes if they are known.
        class_map: as for :func:`load_teacher`.
        called: the network, for messages.
        role: what it is, for messages.
        option: where the class map is written, for messages.

    Raises:
        SegkdError: if the classes cannot be mapped.
    """
    network, names = opened
    if names is None and not class_map:
        if network.num_classes != label_space.num_classes:
            raise SegkdError(
                f"{role} {called} has {network.num_classes} classes, the data {label_space.num_classes}, and its "
                "class names are not known; use a network trained on these classes, or map its class numbers with "
                f'{option} ({{"0": NAME, "1": null, ...}})'
            )
        print(f"{role} {called}: its classes have no names and are taken in the data's order", file=sys.stderr)
        return network
    if names is None:
        names = tuple(str(channel) for channel in range(network.num_classes))
    found = map_classes(names, label_space.names, class_map, called=called, role=role, option=option)
    if class_map or not found.is_identity:
        print(f"{role} {called}: {found.table()}", file=sys.stderr)
    return network if found.is_identity else MappedTeacher(network, found)


def _from_run(folder: Path) -> Teacher:
    if not is_run(folder):
        raise SegkdError(
            f"teacher {folder} is a folder without model.json; give a run folder or a model's name (hf:{folder} for a "
            "model saved by transformers)"
        )
    run = load_run(folder)
    return Teacher(run.model, run.label_space.names)


def _name_the_network(file: str) -> str:
    """What to do with a weights file in the place of a network."""
    fitting = fitting_models(read_checkpoint(file))
    hint = f" ({', '.join(fitting)})" if fitting else ""
    return f"teacher {file} is a weights file: name its network, --teacher MODEL --teacher-weights {file}{hint}"


def _from_zoo(name: str, weights: str | Path | None) -> Teacher:
    if name not in MODELS:
        if Path(name).expanduser().is_file():
            raise SegkdError(_name_the_network(name))
        if "/" in name or name.startswith((".", "~")):
            raise SegkdError(f"no run folder {name} for the teacher")
        raise unknown_name("teacher", name, MODELS)
    if weights is None:
        raise SegkdError(
            f"teacher {name} needs weights: nothing falls back to random weights; give --teacher-weights FILE|NAME "
            "(teacher.weights in a recipe), or a run folder as --teacher"
        )
    checkpoint = read_checkpoint(weights)
    if checkpoint.num_classes is None:
        raise SegkdError(f"teacher {name}: {weights} holds no classifier ({checkpoint.format}); give a whole network's")
    teacher = build_model(name, checkpoint.num_classes)
    if not any(tensor.startswith("auxiliary_head.") for tensor in checkpoint.tensors):
        # A teacher never runs its auxiliary head; many published files leave it out.
        teacher.auxiliary_head = None
    try:
        report = load_checkpoint(teacher, checkpoint)
    except SegkdError as error:
        raise SegkdError(f"teacher {name}: {error}") from error
    print(f"teacher {name}: {weights}: {report.summary()}", file=sys.stderr)
    return Teacher(teacher, checkpoint.class_names)
