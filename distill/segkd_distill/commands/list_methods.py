"""``segkd list methods``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from segkd.options import json_option, print_json

if TYPE_CHECKING:
    from segkd_distill.models.output import TapInfo

NUM_CLASSES = 19


@click.command("methods")
@json_option
def list_methods(as_json: bool) -> None:
    """Distillation methods.

    With what each one reads of the networks, what it trains beside the student, whether it needs labels, and its
    weights. "Verified" means that its values and gradients agree with those of the published implementation. Without
    torch, their names alone.
    """
    from segkd.errors import MissingExtra, import_extra
    from segkd_distill.methods import METHODS

    try:
        import_extra("torch", "train")
    except MissingExtra as error:
        if as_json:
            raise
        click.echo("\n".join(METHODS))
        click.echo(f"{error}; what each method reads, trains and weighs is shown with it", err=True)
        return

    rows = [_row(name) for name in METHODS]
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        click.echo(f"{row['name']:<{width}}  {row['summary']} ({row['status']})")
        for line in _details(row):
            click.echo(f"{'':<{width}}  {line}")


def _details(row: dict[str, Any]) -> list[str]:
    needs = ", ".join(row["taps"]) or "logits alone"
    return [
        f"paper: {row['paper']}",
        f"reads: {needs}{', labels' if row['labels'] else ''}; adapters: {', '.join(row['adapters']) or 'none'}",
        f"weights: {_weights(row)}",
        f"settings: {_named(row['hyper_parameters'])}",
    ]


def _weights(row: dict[str, Any]) -> str:
    """The defaults, and the data sets that have them or others."""
    settings, data_sets = row["hyper_parameters"], row["weights_by_dataset"]
    same = [name for name, values in data_sets.items() if values.items() <= settings.items()]
    shown = [_named(row["default_weights"]) + (f" (published for {', '.join(same)})" if same else "")]
    return "; ".join(shown + [f"{name}: {_named(data_sets[name])}" for name in data_sets if name not in same])


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _row(name: str) -> dict[str, Any]:
    import inspect

    import torch

    from segkd_distill.methods import build_method, method_class

    cls = method_class(name)
    given = ("student", "teacher", "num_classes")
    settings = {key: value.default for key, value in inspect.signature(cls).parameters.items() if key not in given}
    student, teacher = _pair_of_networks()
    with torch.device("meta"):  # nothing is allocated
        method = build_method(name, student=student, teacher=teacher, num_classes=NUM_CLASSES)
    trained = [child for child, module in method.named_children() if [*module.parameters(), *module.buffers()]]
    return {
        "name": name,
        "summary": cls.summary,
        "paper": cls.paper,
        "status": cls.status,
        "taps": sorted(method.needs.student_taps | method.needs.teacher_taps),
        "labels": method.needs.labels,
        "adapters": trained,
        "default_weights": {key: value for key, value in settings.items() if key.endswith("weight")},
        "weights_by_dataset": cls.weights_by_dataset,
        "hyper_parameters": settings,
    }


def _pair_of_networks() -> tuple[TapInfo, TapInfo]:
    """What PSPNet-R18 and PSPNet-R101 offer, so that every adapter which a difference of widths asks for is there."""
    from segkd_distill.models.output import TAPS, TapInfo

    strides = dict(zip((*TAPS, "logits"), (4, *[8] * 7), strict=True))
    widths = ((64, 128, 256, 512, 512, 128, 128), (256, 512, 1024, 2048, 2048, 512, 512))
    student, teacher = (TapInfo(dict(zip(TAPS, row, strict=True)), strides, NUM_CLASSES) for row in widths)
    return student, teacher
