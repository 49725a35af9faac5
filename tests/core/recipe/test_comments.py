"""What `segkd recipe copy` writes beside the keys."""

from __future__ import annotations

import yaml

from segkd.recipe import recipe_names
from segkd.recipe.comments import LOOK_AT, commented

TEXT = "# Mine\nstudent:\n  model: a  # my own words\n  from_scratch: true\ntrain: {lr: 0.1}\nmethods:\n- kd\n"


def test_keys_to_look_at_have_a_comment() -> None:
    lines = commented(TEXT, "mine").splitlines()
    assert lines[2] == "  model: a  # my own words"
    assert lines[3] == f"  from_scratch: true  # {LOOK_AT['student', 'from_scratch']}"
    assert lines[4] == "train: {lr: 0.1}"
    assert f"#   augment.crop: {LOOK_AT['augment', 'crop']}" in lines
    assert not any(line.startswith("#   train.lr") for line in lines), "it is written"


def test_values_stay_as_they_are_in_every_shipped_recipe() -> None:
    for name, path in recipe_names().items():
        text = path.read_text()
        copied = commented(text, name)
        assert yaml.safe_load(copied) == yaml.safe_load(text)
        for key in LOOK_AT:
            assert f"{key[-1]}:" in copied, (name, key)
