"""``segkd recipe``: show, copy and check."""

from __future__ import annotations

import json
from pathlib import Path

import click

from segkd.cli import CONTEXT_SETTINGS
from segkd.options import json_option, print_json, set_option


@click.group(context_settings=CONTEXT_SETTINGS)
def recipe() -> None:
    """Show, copy and check recipes.

    A recipe is one YAML file that says what a run is. RECIPE is a file, or a name of `segkd list recipes`.
    """


@recipe.command()
@click.argument("recipe", metavar="RECIPE")
@set_option
@json_option
def show(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print a recipe with every key written out, and as comments the numbers that are published for its experiment.

    \b
    Example:
      segkd recipe show bpkd-pspnet-r18-cityscapes --set train.batch=16
    """
    from segkd.recipe import dump_recipe, load_recipe
    from segkd.recipe.published import experiment, published_numbers, table_lines

    loaded = load_recipe(recipe, overrides)
    if as_json:
        numbers = published_numbers(loaded)
        values = loaded.model_dump(mode="json", by_alias=True)
        print_json(values if numbers is None else {**values, "published": numbers})
        return
    click.echo(dump_recipe(loaded), nl=False)
    if loaded.experiment is not None:
        for line in table_lines(experiment(loaded.experiment)):
            click.echo(f"# {line}")


@recipe.command()
@json_option
def presets(as_json: bool) -> None:
    """Print the named settings: augmentation pipelines (augment.pipeline) and schedules (train.preset)."""
    from segkd.files.yaml_lines import write_yaml
    from segkd.recipe.presets import PIPELINE_SIZES, PIPELINES, SCHEDULES

    pipelines = {name: {**keys, "data_sets": PIPELINE_SIZES[name]} for name, keys in PIPELINES.items()}
    if as_json:
        print_json({"pipelines": pipelines, "schedules": SCHEDULES})
        return
    # Through JSON: what two presets share would become YAML anchors.
    for key, table in (("augment.pipeline", pipelines), ("train.preset", SCHEDULES)):
        click.echo(write_yaml({key: json.loads(json.dumps(table))}), nl=False)


@recipe.command()
@click.argument("recipe", metavar="RECIPE")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def copy(recipe: str, file: Path) -> None:
    """Copy a recipe to FILE, to change it; an existing FILE stays.

    The copy has a comment on each key to look at when the data are other ones.

    \b
    Example:
      segkd recipe copy own-small my.yaml
    """
    from segkd.errors import SegkdError
    from segkd.files import read_text, write_atomic
    from segkd.files.destinations import require_writable_file
    from segkd.recipe import recipe_path
    from segkd.recipe.comments import commented

    if file.exists():
        raise SegkdError(f"{file} exists already; name another file")
    require_writable_file(file)
    source = recipe_path(recipe)
    write_atomic(file, commented(read_text(source), str(source)).encode())
    click.echo(file)


@recipe.command()
@click.argument("recipe", metavar="RECIPE")
@set_option
@json_option
def check(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say whether a recipe is valid; reads no data and trains nothing.

    Keys, types and the form of data specifications are always checked; the names of models, methods, losses,
    optimizers and schedules, and of their options, only where torch is installed, because they are in its rooms.

    \b
    Example:
      segkd recipe check mine.yaml --set train.iters=100
    """
    from segkd.recipe import read_recipe, recipe_path
    from segkd.recipe.names import check_names

    names_checked = check_names(*read_recipe(recipe, overrides))
    if as_json:
        print_json({"recipe": str(recipe_path(recipe)), "valid": True, "names_checked": names_checked})
        return
    if not names_checked:
        click.echo(
            "segkd: the names of models, methods and their options were not checked: torch is not installed", err=True
        )
    click.echo(f"{recipe}: valid")
