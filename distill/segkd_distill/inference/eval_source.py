"""Opens runs, weights files and foreign networks for ``segkd eval``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkd.errors import SegkdError, import_extra
from segkd.evaluation.sources import Request
from segkd.folders import RunFiles

if TYPE_CHECKING:
    from segkd_distill.models.sources import Teacher


def open_run(request: Request) -> Any:
    """The network of a run folder.

    Raises:
        SegkdError: if the run cannot be read.
        BackendMissing: if the device is not there.
    """
    _require_torch()
    from segkd.files import sha256_file
    from segkd_distill.models.saved_model import load_run
    from segkd_distill.models.sources import Teacher

    loaded = load_run(request.source)
    origin = {"run": request.source, "weights_sha256": sha256_file(loaded.folder / RunFiles.WEIGHTS)}
    return _predictor(request, Teacher(loaded.model, loaded.label_space.names), origin)


def open_checkpoint(request: Request) -> Any:
    """A weights file of any known format, in a network of ``request.model``.

    Without a class map, its classes are taken to be the data's.

    Raises:
        SegkdError: for an unknown model, or weights that do not fit it.
        BackendMissing: if the device is not there.
    """
    _require_torch()
    from segkd.files import sha256_file
    from segkd_distill.models.checkpoints import OtherClasses, load_weights, read_checkpoint
    from segkd_distill.models.sources import Teacher
    from segkd_distill.models.zoo import build_model

    path = Path(request.source).expanduser()
    names: tuple[str, ...] | None = request.labels.names
    num_classes = request.labels.num_classes
    if request.class_map is not None:
        checkpoint = read_checkpoint(path)
        names, num_classes = checkpoint.class_names, checkpoint.num_classes or num_classes
    model = build_model(str(request.model), num_classes)
    try:
        load_weights(model, path)
    except OtherClasses as error:
        raise SegkdError(f"{error}: score it on data with the classes that it was trained on") from error
    origin = {"checkpoint": request.source, "model": request.model}
    if path.is_file():
        origin["weights_sha256"] = sha256_file(path)
    return _predictor(request, Teacher(model, names), origin)


def open_network(request: Request) -> Any:
    """A network that an adapter opens: ``hf:...``, ``timm:...``, ``torch:...``, an ONNX file.

    Raises:
        SegkdError: if it cannot be opened, or has other classes than the data.
        MissingExtra: if its library is not installed.
        BackendMissing: if the device is not there.
    """
    _require_torch()
    from segkd_distill.models.sources import open_foreign_teacher

    opened = open_foreign_teacher(request.source, None, request.labels.num_classes)
    if request.class_map is None:
        if opened.network.num_classes != request.labels.num_classes:
            raise SegkdError(
                f"{request.source} has {opened.network.num_classes} classes, the data {request.labels.num_classes}: "
                "say with --class-map which becomes which, as in void=ignore"
            )
        opened = opened._replace(class_names=opened.class_names or request.labels.names)
    return _predictor(request, opened, {"network": request.source})


def _predictor(request: Request, opened: Teacher, origin: dict[str, Any]) -> Any:
    """A network behind the class map and the fit that were asked for."""
    from segkd_distill.device import choose_device, describe_device
    from segkd_distill.inference.evaluate import NetworkPredictor
    from segkd_distill.models.teachers.fitted_teacher import fitted
    from segkd_distill.models.teachers.teacher import with_classes_of

    model, names = fitted(opened.network, request.fit, request.source), opened.class_names
    if request.class_map is not None:
        mapped = opened._replace(network=model)
        model = with_classes_of(
            request.labels, mapped, request.class_map, called=request.source, role="network", option="--class-map"
        )
        names = request.labels.names
        origin["class_map"] = dict(request.class_map)
    if request.fit is not None:
        origin["fit"] = request.fit

    device = choose_device(request.device)
    print(f"device: {describe_device(device)}", file=sys.stderr)
    return NetworkPredictor(
        model,
        device,
        names or (),
        inference=request.inference,
        threads=request.threads,
        origin=origin,
    )


def _require_torch() -> None:
    for library in ("torch", "safetensors"):
        import_extra(library, "train")
