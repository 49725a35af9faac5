from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkd.errors import SegkdError
from segkd.recipe import NOT_YET, Recipe, dump_recipe, load_recipe, parse_recipe, recipe_names, recipe_path, split_named


def test_an_empty_recipe_has_the_defaults() -> None:
    recipe = parse_recipe({})
    assert recipe.train.iters == 40000
    assert recipe.train.weight_decay == 5e-4
    assert recipe.augment.scale == (0.5, 2.0)
    assert recipe.methods == []


def test_values_are_taken() -> None:
    recipe = parse_recipe(
        {
            "schema": 1,
            "methods": ["kd", {"cwd": {"temperature": 4}}, {"brd": None}],
            "augment": {"crop": "96x192", "scale": [1, 1.5]},
            "train": {"lr": 1, "optimizer": {"sgd": {"nesterov": True}}},
            "export": {"imgsz": [512, 1024]},
        }
    )
    assert [split_named(part) for part in recipe.methods] == [("kd", {}), ("cwd", {"temperature": 4}), ("brd", {})]
    assert recipe.augment.crop == (96, 192)
    assert recipe.augment.scale == (1.0, 1.5)
    assert recipe.export.imgsz == (512, 1024)
    assert split_named(recipe.train.optimizer) == ("sgd", {"nesterov": True})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": {"itres": 5}}, "train.itres: unknown key, did you mean 'iters'?"),
        ({"trian": {}}, "trian: unknown key, did you mean 'train'?"),
        ({"train": {"iters": "5"}}, "train.iters: expected a whole number, got '5'"),
        ({"train": {"iters": 1.5}}, "train.iters: expected a whole number, got 1.5"),
        ({"train": {"iters": True}}, "train.iters: expected a whole number, got True"),
        ({"train": {"iters": -5}}, "train.iters: must be at least 1, got -5"),
        ({"train": {"lr": 0}}, "train.lr: must be above 0"),
        ({"train": {"lr": float("nan")}}, "train.lr: expected a finite number, got nan"),
        ({"train": {"lr": "fast"}}, "train.lr: expected a number, got 'fast'"),
        ({"train": {"amp": "fp8"}}, "train.amp: expected 'off', 'fp16' or 'bf16', got 'fp8'"),
        ({"train": 3}, "train: expected a section of key: value lines, got 3"),
        ({"augment": {"flip": 1.5}}, "augment.flip: must be at most 1"),
        ({"augment": {"photometric": "no"}}, "augment.photometric: expected true or false, got 'no'"),
        ({"augment": {"crop": "96,192"}}, "augment.crop: '96,192' is no size"),
        ({"augment": {"crop": [96, 1.5]}}, "augment.crop: expected height and width in pixels"),
        ({"augment": {"crop": [96]}}, "augment.crop: expected height and width in pixels"),
        ({"augment": {"scale": [2, 1]}}, "augment.scale: expected two positive numbers, the smaller one first"),
        ({"augment": {"scale": [0, 1]}}, "augment.scale: expected two positive numbers"),
        ({"data": {"train": 3}}, "data.train: expected text, got 3"),
        ({"methods": "cwd"}, "methods: expected a list, got 'cwd'"),
        ({"methods": [{"cwd": 3}]}, "methods.0: the options of cwd must be key: value pairs, got 3"),
        ({"methods": ["kd", {"a": {}, "b": {}}]}, "methods.1: expected a name, or one name with its options"),
        ({"methods": [""]}, "methods.0: expected a name"),
        ({"gates": {"miou": "high"}}, "gates.miou: expected a number, got 'high'"),
        ({"schema": 2}, "schema: this segkd reads recipe schema 1, the recipe has 2"),
        ({"train": {"class_weights": "x"}}, "train.class_weights: expected a list, got 'x', or expected 'auto'"),
        ({"train": {"iters": 0, "batch": 0}}, "train.iters: must be at least 1, got 0 (and 1 more)"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SegkdError) as error:
        parse_recipe(values)
    assert str(error.value).startswith(f"recipe: {message}")
    assert "pydantic" not in str(error.value)
    assert "http" not in str(error.value)


REFUSED: dict[str, Any] = {
    "train.devices": 2,
    "train.nodes": 2,
}


def test_every_key_without_a_feature_is_tested() -> None:
    assert set(REFUSED) == set(NOT_YET)


@pytest.mark.parametrize("key", REFUSED)
def test_keys_without_a_feature_are_refused_by_name(key: str) -> None:
    section, _, name = key.partition(".")
    with pytest.raises(SegkdError, match=rf"^recipe: {key}: .* is not supported yet; "):
        parse_recipe({section: {name: REFUSED[key]} if name else REFUSED[key]})


def test_a_refusal_says_what_is_possible() -> None:
    with pytest.raises(SegkdError, match="the only value is 1"):
        parse_recipe({}, ["train.nodes=2"])


def test_an_options_form_of_the_default_is_not_refused() -> None:
    assert parse_recipe({"train": {"loss": {"ce": {}}}}).train.loss == {"ce": {}}


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, "schema: 1\n# a comment\ntrain:\n  lr: 1e-2\n  itres: 5\n")
    with pytest.raises(SegkdError) as error:
        load_recipe(path)
    assert str(error.value) == f"{path}:5: train.itres: unknown key, did you mean 'iters'?"


def test_a_refused_key_has_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "train:\n  batch: 5\n  nodes: 2\n")
    with pytest.raises(SegkdError, match=rf"^{path}:3: train\.nodes: 2 is not supported"):
        load_recipe(path)


def test_numbers_and_words_of_yaml(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "train: {lr: 1e-2, amp: off}\naugment:\n  crop: 96x192\n"))
    assert (recipe.train.lr, recipe.train.amp, recipe.augment.crop) == (0.01, "off", (96, 192))


@pytest.mark.parametrize("text", ["- a\n", "text\n", "3\n"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    with pytest.raises(SegkdError, match="a recipe is made of key: value sections"):
        load_recipe(write(tmp_path, text))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SegkdError, match=r"mine.yaml: cannot be read"):
        load_recipe(path)


def test_overrides_win_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path, "train:\n  iters: 5\nmethods:\n- cwd: {temperature: 4}\n")
    recipe = load_recipe(path, ["train.iters=6", "train.iters=7", "methods.0.cwd.temperature=1.5", "data.train=a:b=c"])
    assert recipe.train.iters == 7
    assert recipe.methods == [{"cwd": {"temperature": 1.5}}]
    assert recipe.data.train == "a:b=c"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("iters=3", "--set iters=3: iters: unknown key, did you mean 'train.iters'?"),
        ("model=x", "--set model=x: model: unknown key, did you mean 'teacher.model' or 'student.model'?"),
        ("train.itres=", "--set train.itres=: train.itres: unknown key, did you mean 'iters'?"),
        ("train.itres=3", "--set train.itres=3: train.itres: unknown key, did you mean 'iters'?"),
        ("train.iters=x", "--set train.iters=x: train.iters: expected a whole number, got 'x'"),
        ("train.iters", "--set train.iters: expected KEY=VALUE, as in --set train.iters=100"),
        (".iters=3", "--set .iters=3: expected KEY=VALUE"),
        ("train.amp=[", "--set train.amp=[: '[' is not valid YAML; put it in quotes"),
        ("methods.cwd.tau=3", "--set methods.cwd.tau=3: methods is a list of 1; write its index (from 0)"),
        ("methods.1=kd", "--set methods.1=kd: methods is a list of 1"),
        ("train.optimizer.sgd=1", "--set train.optimizer.sgd=1: train.optimizer is 'sgd', not a section"),
        ("train={iters: 0}", "--set train={iters: 0}: train.iters: must be at least 1, got 0"),
        ("train.nodes=2", "--set train.nodes=2: train.nodes: 2 is not supported yet"),
    ],
)
def test_errors_of_an_override_name_it(tmp_path: Path, override: str, message: str) -> None:
    path = write(tmp_path, "methods: [cwd]\ntrain:\n  optimizer: sgd\n  iters: 7\n")
    with pytest.raises(SegkdError) as error:
        load_recipe(path, [override])
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("empty", ["", "null", "~"])
def test_an_override_without_a_value_leaves_the_key_out(tmp_path: Path, empty: str) -> None:
    path = write(tmp_path, "augment: {scale: [0.75, 1.5], crop: 8x8}\ntrain: {preset: mmseg-40k, lr: 0.5}\n")
    recipe = load_recipe(path, [f"augment.scale={empty}", f"augment.crop={empty}", f"train.lr={empty}"])
    assert recipe.augment.scale == (0.5, 2.0), "the default"
    assert recipe.augment.crop is None, "null is one of its values"
    assert recipe.train.lr == 0.01, "the preset's"
    assert load_recipe(path, [f"augment.scale={empty}", "augment.scale=[1, 2]"]).augment.scale == (1, 2)
    assert load_recipe(path, [f"augment={empty}"]).augment == Recipe().augment
    with pytest.raises(SegkdError, match=r"mine.yaml:1: train.lr: expected a number, got None"):
        load_recipe(write(tmp_path, "train: {lr: }\n"))


def test_overrides_leave_the_given_values_alone() -> None:
    values = {"train": {"iters": 5}}
    parse_recipe(values, ["train.iters=6"])
    assert values == {"train": {"iters": 5}}


def test_a_dumped_recipe_reads_back_equal(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {"augment": {"crop": "96x192"}, "methods": ["kd", {"cwd": {"tau": 4.0}}], "teacher": {"model": "1e5"}}
    )
    text = dump_recipe(recipe)
    assert load_recipe(write(tmp_path, text)) == recipe
    assert text.startswith("schema: 1\n")
    assert set(Recipe.model_fields) - {"schema_"} <= set(text.replace(":", "").split())


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        parse_recipe({}).train.iters = 3  # type: ignore[misc]


def test_shipped_recipes_are_found_by_name() -> None:
    path = recipe_names()["cityscapes-pspnet-r18"]
    assert recipe_path("cityscapes-pspnet-r18") == path
    recipe = load_recipe("cityscapes-pspnet-r18")
    assert (recipe.train.iters, recipe.train.batch, recipe.augment.crop) == (80000, 8, (512, 1024))
    assert (recipe.train.lr, recipe.train.weight_decay) == (0.01, 5e-4)


def test_an_unknown_recipe_says_the_nearest() -> None:
    with pytest.raises(
        SegkdError, match="unknown recipe 'cityscapes-pspnet-r19'; did you mean 'cityscapes-pspnet-r18'"
    ):
        load_recipe("cityscapes-pspnet-r19")


@pytest.mark.parametrize("name", ["gone.yaml", "folder/gone"])
def test_a_missing_file_is_not_taken_for_a_name(name: str) -> None:
    with pytest.raises(SegkdError, match=f"no recipe file {name}"):
        load_recipe(name)


def test_two_names_in_one_part_are_an_error() -> None:
    with pytest.raises(ValueError, match="one name expected"):
        split_named({"a": {}, "b": {}})
