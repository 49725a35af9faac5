"""Whether the parts that a recipe names (loss, optimizer, schedule, methods, transforms) exist and have its options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from segkd.errors import SegkdError
from segkd.files.yaml_lines import KeyPath, dotted
from segkd.recipe import Named, Recipe, TrainSection, split_named
from segkd.recipe.problems import Places
from segkd_distill.methods import check_hyper
from segkd_distill.methods.parsing import WEIGHTINGS, parse_methods
from segkd_distill.optim import build_schedule, optimizer_settings
from segkd_distill.task_loss import build_task_loss

# The key that is at fault if the check fails, and the check.
Check = tuple[KeyPath, Callable[[], object]]


def check_parts(recipe: Recipe, places: Places | None = None) -> None:
    """Check names and options before data, weights or a device are opened.

    A method's hyper-parameters are checked by name; their values where the networks are known.

    Args:
        recipe: the recipe.
        places: where its keys were written.

    Raises:
        SegkdError: ``file:line: key: ...`` for an unknown name or option, or a value that it cannot have.
    """
    for path, check in _checks(recipe):
        try:
            check()
        except SegkdError as error:
            place = f"{places.of(path)}: " if places is not None else ""
            raise SegkdError(f"{place}{dotted(path)}: {error}") from error


def _checks(recipe: Recipe) -> Iterator[Check]:
    train = recipe.train
    yield from _part(("train", "loss"), train.loss, lambda part: build_task_loss(part, None))
    yield from _part(("train", "optimizer"), train.optimizer, optimizer_settings)
    yield from _part(("train", "schedule"), train.schedule, partial(_check_schedule, train))
    for index, method in enumerate(recipe.methods):
        yield from _part(("methods", index), method, _check_method)
    yield ("methods",), lambda: parse_methods(recipe.methods)
    for index, transform in enumerate(recipe.augment.transforms or []):
        yield ("augment", "transforms", index), partial(_check_transform, transform)


def _part(path: KeyPath, part: Named, check: Callable[[Named], object]) -> Iterator[Check]:
    """The name, then every option by itself, so that the one at fault is named, then all together."""
    name, options = split_named(part)
    yield path, partial(check, name)
    for key, value in options.items():
        yield (*path, name, key), partial(check, {name: {key: value}})
    yield path, partial(check, part)


def _check_schedule(train: TrainSection, part: Named) -> None:
    build_schedule(train.model_copy(update={"schedule": part}))


def _check_method(part: Named) -> None:
    for name, hyper in parse_methods([part]):
        check_hyper(name, hyper.keys() - WEIGHTINGS)


def _check_transform(part: Named) -> None:
    from segkd_distill.data.user_transforms import build_transforms

    build_transforms([dict([split_named(part)])])
