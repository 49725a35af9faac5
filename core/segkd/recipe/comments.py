"""Comments for a copied recipe: what the keys mean that a user must look at before training on other data."""

from __future__ import annotations

from segkd.files.yaml_lines import KeyPath, read_yaml

LOOK_AT: dict[KeyPath, str] = {
    ("data", "train"): "the images, as in folder:my_data; or --data on each command",
    ("student", "model"): "the network that is trained: `segkd list models`",
    ("student", "from_scratch"): "false needs --backbone-weights or --init-from; true starts from random weights",
    ("augment", "crop"): "height x width that one step sees: no larger than most of your pictures",
    ("train", "iters"): "steps of the whole run",
    ("train", "batch"): "images per step; halve it when memory runs out",
    ("train", "lr"): "fits this network, optimizer and batch",
    ("eval", "every"): "steps between validations",
}
"""Key -> what to think of when the data change."""


def commented(text: str, source: str) -> str:
    """A recipe's text with a comment on each key to look at, and a list of those that it leaves to its defaults.

    A line that has a comment keeps it. The values stay as they are.

    Args:
        text: the recipe.
        source: its name in error messages.

    Raises:
        SegkdError: if the text is not YAML.
    """
    _, places = read_yaml(text, source)
    lines = text.splitlines()
    said = [key for key in LOOK_AT if key in places]

    for key in said:
        line = lines[places[key] - 1]
        # A comment of the author knows more; a section in one line is shared by several keys.
        if "#" not in line and "{" not in line and line.rstrip()[-1:] not in ("", ":", "|", ">"):
            lines[places[key] - 1] = f"{line.rstrip()}  # {LOOK_AT[key]}"

    missing = [key for key in LOOK_AT if key not in places]
    if missing:
        lines.append("# Not written here (the recipe that this one extends, or the default, has them):")
        lines += [f"#   {'.'.join(map(str, key))}: {LOOK_AT[key]}" for key in missing]
    return "\n".join(lines) + "\n"
