"""The section ``augment`` of a recipe: what depends on the data set, and the geometry that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkd.data.base import parse_spec
from segkd.recipe import Recipe, split_named
from segkd.recipe.presets import pipeline_sizes, require_crop
from segkd_distill.data.geometry import Geometry
from segkd_distill.data.user_transforms import UserTransforms, build_transforms, read_transforms


def resolve_augment(recipe: Recipe) -> dict[str, Any]:
    """The section with the sizes that a named pipeline has for the training data, and with a file's content in it.

    Raises:
        SegkdError: if the pipeline has no crop for the data set, or a user's transforms are wrong.
    """
    augment = recipe.augment
    values = augment.model_dump(by_alias=True)
    if augment.pipeline is not None:
        dataset = parse_spec(str(recipe.data.train))[0]
        sizes = pipeline_sizes(augment.pipeline, dataset)
        values |= {key: value for key, value in sizes.items() if key not in augment.model_fields_set}
        if values["crop"] is None:
            raise require_crop(augment.pipeline, dataset)
    if augment.file is not None:
        values["transforms"] = read_transforms(Path(augment.file))
        values["file"] = None
    elif augment.transforms is not None:
        build_transforms([dict([split_named(part)]) for part in augment.transforms], remark=True)
    return values


def geometry_of(recipe: Recipe, crop: tuple[int, int], mean: tuple[float, float, float]) -> Geometry | UserTransforms:
    """The geometry of training samples.

    Args:
        recipe: as ``resolve_recipe`` gives it.
        crop: (height, width) in pixels.
        mean: the student's RGB mean, which fills what lies beyond an image.
    """
    augment = recipe.augment
    if augment.transforms is not None:
        return UserTransforms(crop, [dict([split_named(part)]) for part in augment.transforms])
    red, green, blue = (round(value) for value in mean)
    return Geometry(
        crop=crop,
        scale=augment.scale,
        scale_step=augment.scale_step,
        short_side=augment.short_side,
        long_side=augment.long_side,
        flip=augment.flip,
        cat_max_ratio=augment.cat_max_ratio,
        fill=(red, green, blue),
        pad_label=augment.pad_label,
    )
