"""``segkd list models``."""

from __future__ import annotations

import click

from segkd.options import json_option, print_json


@click.command("models", short_help="Networks, with their size.")
@click.option("--classes", "num_classes", type=click.IntRange(1, 255), default=19, show_default=True, help="Classes.")
@json_option
def list_models(num_classes: int, as_json: bool) -> None:
    """Networks, with their size.

    Parameters of the deployed network; those of the auxiliary head, which only training uses, are listed beside.
    """
    from segkd.errors import import_extra

    torch = import_extra("torch", "train")
    from segkd_distill.models.zoo import MODELS, build_model

    rows = []
    for name, config in MODELS.items():
        with torch.device("meta"):
            model = build_model(config, num_classes)
        auxiliary = model.auxiliary_head
        extra = sum(p.numel() for p in auxiliary.parameters()) if auxiliary is not None else 0
        rows.append(
            {
                "name": name,
                "parameters": sum(p.numel() for p in model.parameters()) - extra,
                "auxiliary_parameters": extra,
                "backbone": config.backbone,
                "head": config.head,
                "taps": sorted(model.tap_info().channels),
                "output_stride": model.tap_info().strides["logits"],
            }
        )
    if as_json:
        print_json(rows)
        return
    width = max(len(str(row["name"])) for row in rows)
    click.echo(f"{'name':<{width}}  {'parameters':>12}  {'auxiliary':>10}  stride  network")
    for row in rows:
        click.echo(
            f"{row['name']:<{width}}  {row['parameters']:>12,}  {row['auxiliary_parameters']:>10,}  "
            f"{row['output_stride']:>6}  {row['backbone']} + {row['head']}"
        )
