"""Opens runs, weights files and foreign networks for ``segkd eval``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from segkd.errors import SegkdError, import_extra
from segkd.evaluation.sources import Request
from segkd.folders import RunFiles


def open_run(request: Request) -> Any:
    """The network of a run folder.

    Raises:
        SegkdError: if the run cannot be read.
        BackendMissing: if the device is not there.
    """
    _require_torch()
    from segkd.files import sha256_file
    from segkd_distill.models.saved_model import load_run

    loaded = load_run(request.source)
    origin = {"run": request.source, "weights_sha256": sha256_file(loaded.folder / RunFiles.WEIGHTS)}
    return _predictor(request, loaded.model, loaded.label_space.names, origin)


def open_checkpoint(request: Request) -> Any:
    """A weights file of any known format, in a network of ``request.model``; its classes are taken to be the data's.

    Raises:
        SegkdError: for an unknown model, or weights that do not fit it.
        BackendMissing: if the device is not there.
    """
    _require_torch()
    from segkd.files import sha256_file
    from segkd_distill.models.checkpoints import OtherClasses, load_weights
    from segkd_distill.models.zoo import build_model

    path = Path(request.source).expanduser()
    model = build_model(str(request.model), request.labels.num_classes)
    try:
        load_weights(model, path)
    except OtherClasses as error:
        raise SegkdError(f"{error}: score it on data with the classes that it was trained on") from error
    origin = {"checkpoint": request.source, "model": request.model}
    if path.is_file():
        origin["weights_sha256"] = sha256_file(path)
    return _predictor(request, model, request.labels.names, origin)


def open_network(request: Request) -> Any:
    """A network that an adapter opens: ``hf:...``, ``timm:...``, ``torch:...``, an ONNX file.

    Raises:
        SegkdError: if it cannot be opened, or has other classes than the data.
        MissingExtra: if its library is not installed.
        BackendMissing: if the device is not there.
    """
    _require_torch()
    from segkd_distill.models.sources import open_foreign_teacher

    teacher = open_foreign_teacher(request.source, None, request.labels.num_classes)
    network, names = teacher.network, teacher.class_names or request.labels.names
    if network.num_classes != request.labels.num_classes:
        raise SegkdError(f"{request.source} has {network.num_classes} classes, the data {request.labels.num_classes}")
    return _predictor(request, network, names, {"network": request.source})


def _predictor(request: Request, model: Any, names: tuple[str, ...], origin: dict[str, Any]) -> Any:
    from segkd_distill.device import choose_device, describe_device
    from segkd_distill.inference.evaluate import NetworkPredictor

    device = choose_device(request.device)
    print(f"device: {describe_device(device)}", file=sys.stderr)
    return NetworkPredictor(
        model,
        device,
        names,
        inference=request.inference,
        threads=request.threads,
        origin=origin,
    )


def _require_torch() -> None:
    for library in ("torch", "safetensors"):
        import_extra(library, "train")
