"""Recipes: everything that decides a run, checked before it starts.

- ``recipe``: the schema, and reading, writing and naming of recipes
- ``class_map``: which class of the data each class of a network becomes
- ``comments``: published numbers as comments of a shown recipe
- ``extends``: what a recipe inherits from others
- ``names``: names inside a recipe against the tables of the rooms
- ``presets``: schedules, augmentations and class weights by name
- ``problems``: pydantic's findings as one line with file, line and nearest key
- ``published``: the numbers that published experiments print
- ``values``: values of ``--set``
"""

from segkd.recipe.recipe import (
    NOT_YET,
    AugmentSection,
    DataSection,
    Named,
    Recipe,
    StudentSection,
    TrainSection,
    dump_recipe,
    load_recipe,
    parse_recipe,
    read_recipe,
    recipe_names,
    recipe_path,
    split_named,
)

__all__ = [
    "NOT_YET",
    "AugmentSection",
    "DataSection",
    "Named",
    "Recipe",
    "StudentSection",
    "TrainSection",
    "dump_recipe",
    "load_recipe",
    "parse_recipe",
    "read_recipe",
    "recipe_names",
    "recipe_path",
    "split_named",
]
