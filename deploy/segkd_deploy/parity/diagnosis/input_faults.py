"""Faults before the network: colours, normalisation and size of the frame, each undone on the frame and tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segkd_deploy.camera import YUV, yuv_coding
from segkd_deploy.parity.diagnosis.case import SCREENING_FRAMES, Case, Finding, explains
from segkd_deploy.parity.diagnosis.frames import Affine, coding, in_codes

Constants = NDArray[np.float64]

# Steps of a fit's finite differences, as shares of the deviation: large at first, then as its own steps shrink. Eight
# bits do not answer to smaller ones than the last.
_STEP, _SMALLEST_STEP = 0.03, 0.002
_ROUNDS = 8
# A fit that does not lower the distance so far explains nothing.
_FIT_SHARE = 0.5
# A fit that leaves more than this share of the distance is tried from elsewhere.
_FITTED_SHARE = 0.05
_LARGER_STEPS = (0.1, 0.3)
# Common shifts of the mean, or scales of the std, as shares of the std, that such a fit may begin with.
_FAR = (0.0, -0.6, -0.4, -0.25, -0.12, 0.12, 0.25, 0.4, 0.6)
# Six numbers are believed before three only if they leave clearly less.
_FITTED_BETTER = 0.9
_STD_ALONE, _MEAN_ALONE = np.eye(6)[:3], np.eye(6)[3:]
_BGR = np.eye(3)[::-1]
NOTHING, ONE_STD = "nothing wrong", "one std for all channels"


@dataclass(frozen=True)
class Normalisation:
    """What a graph may do to a frame instead of what it should.

    Attributes:
        name: for people.
        mean: RGB, (3,).
        std: RGB, (3,).
        swapped: whether red and blue are exchanged first.
    """

    name: str
    mean: Constants
    std: Constants
    swapped: bool = False

    def undo(self, mean: Constants, std: Constants, case: Case) -> Affine:
        """What to do to a frame so that the graph gives the network what it should get."""
        gain = self.std / std
        # (x' - mean') / std' = (x - mean) / std; what is exchanged by the graph is exchanged back before.
        matrix, offset = np.diag(gain), self.mean - gain * mean
        if self.swapped:
            matrix, offset = _BGR @ matrix, _BGR @ offset
        return in_codes(matrix, offset, case.spec)


def normalisations(mean: Constants, std: Constants) -> Iterator[Normalisation]:
    """The usual mistakes, each with the right order of the channels and with red and blue exchanged."""
    known = [
        Normalisation(NOTHING, mean, std),
        Normalisation("x / 255, without mean and std", np.zeros(3), np.full(3, 255.0)),
        Normalisation("nothing subtracted or divided", np.zeros(3), np.ones(3)),
        Normalisation("x / 127.5 - 1", np.full(3, 127.5), np.full(3, 127.5)),
        Normalisation("mean subtracted, not divided by std", mean, np.ones(3)),
        Normalisation("divided by std, mean not subtracted", np.zeros(3), std),
        Normalisation("x / 255 before a mean and std of 0..255", 255 * mean, 255 * std),
        Normalisation("mean and std of 0..1 on values of 0..255", mean / 255, std / 255),
        Normalisation("normalised twice", mean + std * mean, std * std),
        Normalisation(ONE_STD, mean, np.full(3, std.mean())),
        Normalisation("mean and std in the order BGR", mean[::-1], std[::-1]),
    ]
    for one in known:
        yield one
        yield replace(one, swapped=True)


def find_input_fault(case: Case, before: float) -> Finding | None:
    """The change of the frame that gives the source's logits back.

    Args:
        case: the graph.
        before: share of pixels on which its logits give the source's labels.

    Returns:
        None if no change does.
    """
    constants = case.manifest.normalisation
    mean, std = np.array(constants.mean, np.float64), np.array(constants.std, np.float64)
    few = case.frames[:SCREENING_FRAMES].astype(np.float32)
    now = case.distance(case.logits[: len(few)])
    tried = {one: _distance(case, few, one.undo(mean, std, case)) for one in map(_Key, normalisations(mean, std))}
    found = _best_colours(case, few, before, now)
    best = min(tried, key=lambda key: tried[key])
    chosen, distance = best.value, tried[best]
    if case.source_logits is not None:
        chosen, distance = _fit(case, few, chosen, distance, mean, std)
    if found is not None and found[1] < distance:
        return found[0]
    if distance > _FIT_SHARE * now:
        return None
    undone = case.run(chosen.undo(mean, std, case).apply(case.frames.astype(np.float32), case.spec))
    after = case.restored(undone)
    # Where hardly a label changed, the logits alone say so.
    nearer = after >= before and distance <= 0.25 * now
    if not (nearer or explains(before, after, case.healthy)):
        return None
    return _finding(case, chosen, mean, std, before, after, {"distance_before": now, "distance_after": distance})


@dataclass(frozen=True, eq=False)
class _Key:
    """Arrays have no hash."""

    value: Normalisation

    def undo(self, mean: Constants, std: Constants, case: Case) -> Affine:
        return self.value.undo(mean, std, case)


def _distance(case: Case, frames: NDArray[np.float32], change: Affine) -> float:
    return case.distance(case.run(change.apply(frames, case.spec)))


def _fit(
    case: Case, frames: NDArray[np.float32], start: Normalisation, distance: float, mean: Constants, std: Constants
) -> tuple[Normalisation, float]:
    """Mean and std that bring the logits nearest to the source's.

    Eight bits answer to small steps with noise, and mean and std stand in for each other: a fit of all six numbers may
    end between the two. Where it leaves much, mean and std are fitted alone as well, with larger steps and from the
    best of some common shifts or scales, and what is best of these once more together.
    """
    source = case.source_logits[: len(frames)].astype(np.float64).ravel()  # type: ignore[index]  # the caller has looked
    scale = float(np.linalg.norm(source)) or 1.0

    def residual(one: Normalisation) -> NDArray[np.float64]:
        logits = case.run(one.undo(mean, std, case).apply(frames, case.spec))
        return np.asarray(logits.astype(np.float64).ravel() - source) / scale

    best, left = _descend(residual, start, np.eye(6), _STEP, _SMALLEST_STEP)
    if left > _FITTED_SHARE * distance:
        plain = replace(start, name=NOTHING, mean=mean, std=std)
        for directions in (_MEAN_ALONE, _STD_ALONE):
            common = directions.sum(axis=0)
            origin = min((_moved(plain, far * common) for far in _FAR), key=lambda one: np.linalg.norm(residual(one)))
            for step in _LARGER_STEPS:
                found, rest = _descend(residual, origin, directions, step, step)
                if rest < left:
                    best, left = found, rest
        for step in _LARGER_STEPS:
            found, rest = _descend(residual, best, np.eye(6), step, step)
            if rest < _FITTED_BETTER * left:
                best, left = found, rest
    return best, min(distance, left)


def _descend(
    residual: Callable[[Normalisation], NDArray[np.float64]],
    start: Normalisation,
    directions: NDArray[np.float64],
    step: float,
    smallest: float,
) -> tuple[Normalisation, float]:
    """Gauss-Newton along some directions (n, 6) of three gains and three offsets: where it ends, and what is left."""
    current, largest = residual(start), step
    for _ in range(_ROUNDS):
        columns = [(residual(_moved(start, step * unit)) - current) / step for unit in directions]
        update = np.linalg.lstsq(np.stack(columns, axis=1), -current, rcond=1e-6)[0].clip(-0.5, 0.5)
        for shorter in (1.0, 0.5, 0.25):
            moved = _moved(start, shorter * update @ directions)
            new = residual(moved)
            if np.linalg.norm(new) < 0.98 * np.linalg.norm(current):
                break
        else:
            break
        start, current = moved, new
        step = float(np.clip(np.abs(update).max(), smallest, largest))
    return start, float(np.linalg.norm(current))


def _moved(one: Normalisation, update: NDArray[np.float64]) -> Normalisation:
    """Std scaled and mean shifted, both by shares of the std."""
    return replace(one, std=one.std * (1 + update[:3]), mean=one.mean + one.std * update[3:])


def _finding(
    case: Case,
    found: Normalisation,
    mean: Constants,
    std: Constants,
    before: float,
    after: float,
    facts: dict[str, object],
) -> Finding:
    facts = {**facts, "mean": found.mean.round(3).tolist(), "std": found.std.round(3).tolist()}
    facts |= {"swapped": found.swapped, "exact": case.takes_floats}
    how = f"the graph's logits give the source's labels on {after:.4%} of the pixels instead of {before:.4%}"
    wrong = _name(found, mean, std)
    if found.swapped and wrong is None:
        text = (
            f"Red and blue are exchanged. With frames whose channels are exchanged, {how}. Give the graph the order "
            "that it expects, or export it with --input."
        )
        return Finding("swapped_channels", text, before, after, facts)
    text = (
        f"The frame is normalised by {wrong or 'slightly other numbers'}: the graph acts as with mean "
        f"{_list(found.mean)} and std {_list(found.std)}, the network was trained with mean {_list(mean)} and std "
        f"{_list(std)}. With frames that undo this, {how}."
    )
    if found.swapped:
        text = f"Red and blue are exchanged, and {text[0].lower()}{text[1:]}"
    return Finding("wrong_normalisation", text, before, after, facts)


def _name(found: Normalisation, mean: Constants, std: Constants) -> str | None:
    """What is wrong with the numbers; None if nothing is."""
    same_mean = bool(np.allclose(found.mean, mean, atol=0.005 * std.mean()))
    same_std = bool(np.allclose(found.std, std, rtol=0.005))
    if found.name != NOTHING and found.name != ONE_STD:
        return found.name
    equal = bool(np.ptp(found.std) < 0.004 * found.std.mean() < np.ptp(std))
    if equal and same_mean:
        return ONE_STD
    if same_mean and same_std:
        return None
    return "another std" if same_mean else "another mean" if same_std else "another mean and another std"


def _best_colours(case: Case, frames: NDArray[np.float32], before: float, now: float) -> tuple[Finding, float] | None:
    """NV12 alone: the coding, and the order of U and V."""
    if case.spec.color != "NV12":
        return None
    right, black = coding(case.spec)
    changes = {"U and V are exchanged": Affine(np.eye(3)[[0, 2, 1]], np.zeros(3))}
    for name in YUV:
        if name == case.spec.yuv:
            continue
        other, zero = yuv_coding(name).to_yuv()
        # other^-1 (code' - zero) = right^-1 (code - black)
        matrix = other @ np.linalg.inv(right)
        changes[f"NV12 is decoded as {name} instead of {case.spec.yuv}"] = Affine(matrix, zero - matrix @ black)
    tried = {name: _distance(case, frames, change) for name, change in changes.items()}
    best = min(tried, key=lambda name: tried[name])
    if tried[best] > _FIT_SHARE * now:
        return None
    after = case.restored(case.run(changes[best].apply(case.frames.astype(np.float32), case.spec)))
    if not explains(before, after, case.healthy):
        return None
    text = (
        f"{best[0].upper()}{best[1:]}. With frames that undo this, the graph's logits give the source's labels on "
        f"{after:.4%} of the pixels instead of {before:.4%}."
    )
    fault = "swapped_channels" if best.startswith("U and V") else "yuv_coding"
    return Finding(fault, text, before, after, {"distances": tried}), tried[best]


def _list(values: Constants) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"
