"""What the numbers of a whole data set say: one function per kind of finding, one line per finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkd.data.base import Dataset
from segkd.data.checks.facts import Facts
from segkd.data.layout.pairing import count_of
from segkd.data.remarks import absent_classes, few_images

Splits = Mapping[str, Dataset]
Looks = Mapping[str, Sequence[Facts]]


class Finding(NamedTuple):
    """One kind of thing that was found.

    Attributes:
        problem: whether it makes the numbers meaningless; otherwise a user may want it.
        what: in one line.
    """

    problem: bool
    what: str


def find(splits: Splits, facts: Looks) -> list[Finding]:
    """All findings, problems first."""
    found = [finding for check in CHECKS for finding in check(splits, facts)]
    return sorted(found, key=lambda finding: not finding.problem)


def _left_out(splits: Splits, _: Looks) -> list[Finding]:
    """Files of other kinds, and links that are not entered."""
    return [Finding(False, remark) for remark in dict.fromkeys(r for data in splits.values() for r in data.remarks)]


def _few_images(splits: Splits, _: Looks) -> list[Finding]:
    """A validation set whose numbers rest on few images."""
    val = splits.get("val")
    if val is None or not val.has_masks or not len(val):
        return []
    remark = few_images(len(val))
    return [Finding(len(val) < 2, f"val has {remark}")] if remark else []


def _classes(splits: Splits, facts: Looks) -> list[Finding]:
    """Classes without a pixel, masks without a class, and sets that leave nothing to learn."""
    read = {name: _class_pixels(facts[name]) for name, data in splits.items() if data.has_masks}
    counted = {name: counts for name, counts in read.items() if counts is not None}
    if not counted:
        return []
    names = next(iter(splits.values())).labels.names
    found: list[Finding] = []
    if len(names) == 1:
        what = f"one class, {names[0]}: there is nothing to learn, and every score is 100; declare the rest as a class"
        found.append(Finding(True, what))

    # Splits without any label make every other finding about classes void.
    empty = [name for name, counts in counted.items() if not counts[: len(names)].sum()]
    found += [Finding(True, f"no labelled pixel in {name}: every pixel is 255 or ignored") for name in empty]
    labelled = {name: counts for name, counts in counted.items() if name not in empty}
    if not labelled or len(names) == 1:
        return found

    total = np.stack(list(labelled.values())).sum(axis=0)
    ignored = total[len(names) :].sum() / total.sum()
    held = np.flatnonzero(total[: len(names)])
    if len(held) == 1:
        what = f"{names[held[0]]} is the only class with a pixel, {ignored:.1%} of the pixels are ignored: "
        # Without ignored pixels nothing is lost: the data are what they are, and training refuses them.
        found.append(Finding(bool(ignored), what + _ADVICE_255))
        return found
    for name, counts in labelled.items():
        absent = absent_classes(names, counts[: len(names)])
        if absent:
            what = f"{absent} in {name} ({ignored:.1%} of all pixels are ignored; 255 is, unless a class has id: 255)"
            found.append(Finding(False, what))
    return found


_ADVICE_255 = (
    "255 is ignored unless a class has it, so masks of 0 and 255 lose theirs; declare it, as in object: {id: 255}, "
    "or write 0 and 1"
)


def _pictures(_: Splits, facts: Looks) -> list[Finding]:
    """What decoding leaves out or turns."""
    every = [fact for part in facts.values() for fact in part]
    turned = [fact for fact in every if fact.orientation != 1]
    fourth = [fact for fact in every if fact.fourth_channel]
    deep = [fact for fact in every if fact.largest_of_16_bits is not None]
    found = []
    painted = [fact for fact in every if fact.other_colours]
    if painted:
        what = f"have a mask whose palette paints {painted[0].other_colours}: numbers count, so give each class in "
        found.append(Finding(True, f"{_some(painted)} {what}classes.yaml the number that its colour has in the masks"))
    if turned:
        what = "carry an EXIF orientation and are turned upright; masks must be drawn on upright pictures"
        found.append(Finding(False, f"{_some(turned)} {what}"))
    if fourth:
        what = "have a fourth channel (transparency, near infrared, ...), which is left out"
        found.append(Finding(False, f"{_some(fourth)} {what}"))
    if deep:
        largest = max(fact.largest_of_16_bits or 0 for fact in deep)
        what = f"have 16 bits, of which the upper 8 are kept; the largest value is {largest} of 65535"
        dark = largest < 2**14
        advice = f", so that {(largest >> 8) + 1} grey levels are left: scale them to 8 bits" if dark else ""
        found.append(Finding(largest < 2**12, f"{_some(deep)} {what}{advice}"))
    return found


def _equal_pictures(_: Splits, facts: Looks) -> list[Finding]:
    """Pictures that two splits have, told by their pixels: training on them makes validation worthless."""
    first: dict[bytes, tuple[str, Facts]] = {}
    shared: dict[tuple[str, str], list[tuple[Facts, Facts]]] = {}
    for split, part in facts.items():
        for fact in part:
            if fact.digest is None:
                continue
            other, theirs = first.setdefault(fact.digest, (split, fact))
            if theirs is not fact:
                shared.setdefault((other, split), []).append((theirs, fact))
    found = []
    for (one, two), pairs in shared.items():
        example = f"for example {pairs[0][0].path} and {pairs[0][1].path}"
        if one == two:
            found.append(Finding(False, f"{one} has {count_of(len(pairs), 'picture')} twice, {example}"))
        else:
            what = f"{one} and {two} share {count_of(len(pairs), 'picture')} with equal pixels, {example}: "
            found.append(Finding(True, what + "scores on one say little when the other was trained on"))
    return found


CHECKS: tuple[Callable[[Splits, Looks], list[Finding]], ...] = (
    _classes,
    _few_images,
    _equal_pictures,
    _pictures,
    _left_out,
)


def _class_pixels(facts: Sequence[Facts]) -> NDArray[np.int64] | None:
    counts = [fact.classes for fact in facts if fact.classes is not None]
    total: NDArray[np.int64] = np.sum(counts, axis=0) if counts else np.zeros(256, np.int64)
    return total if counts else None


def _some(facts: Sequence[Facts]) -> str:
    return f"{count_of(len(facts), 'picture')} (for example {facts[0].path})"
