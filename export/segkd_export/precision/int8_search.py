"""From calibration frames to both int8 graphs: the rule that gives the ranges, and the layers that stay in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from segkd.errors import GateFailed, SegkdError, unknown_name
from segkd.manifest import Calibration
from segkd_export.precision.calibration import METHODS, Method, Ranges, collect_statistics
from segkd_export.precision.calibration_data import CalibrationData, FrameHash
from segkd_export.precision.int8 import FORMS, Layer, find_layers, prepare, quantise, tensors_of
from segkd_export.precision.probe import Probe, Score, batches_of
from segkd_export.precision.sensitivity import LayerSensitivity, rank_layers
from segkd_export.progress import with_progress

# Held-out frames that rank the layers; all of them judge the result.
RANKING_FRAMES = 4


@dataclass(frozen=True)
class Int8Options:
    """How int8 is made.

    Attributes:
        data: training images; None for the run's.
        frames: calibration frames.
        method: a member of ``METHODS``, or ``auto`` for the one that agrees best on held-out frames.
        sensitivity: whether every layer is measured alone.
        max_drop: layers stay in float, the worst first, until no more points of mIoU than this are lost on held-out
            frames; None for no such limit.
        min_agreement: the same for the share of held-out pixels that keep the label of the float32 graph, 0..1.
    """

    data: str | None = None
    frames: int = 64
    method: Method | Literal["auto"] = "auto"
    sensitivity: bool = False
    max_drop: float | None = None
    min_agreement: float = 0.995

    def reached_by(self, score: Score) -> bool:
        """Whether a graph is good enough."""
        drop = score.drop if score.drop is not None else 0.0
        return score.agreement >= self.min_agreement and (self.max_drop is None or drop <= self.max_drop)


@dataclass(frozen=True)
class Quantised:
    """Both int8 graphs and how they came to be.

    Attributes:
        models: form -> ``onnx.ModelProto``.
        calibration: for the manifest.
        float_layers: names of the layers that stayed in float, the worst first.
        ranking: every layer measured alone; None if that was not needed.
    """

    models: dict[str, Any]
    calibration: Calibration
    float_layers: list[str]
    ranking: list[LayerSensitivity] | None


def make_int8(
    model: Any,
    data: CalibrationData,
    options: Int8Options,
    *,
    batch: int,
    num_classes: int,
    say: Callable[[str], None] = lambda line: None,
) -> Quantised:
    """Calibrate once and write both forms.

    Args:
        model: the float32 ``onnx.ModelProto`` with labels and logits.
        data: calibration and held-out frames.
        options: how.
        batch: frames per call.
        num_classes: classes.
        say: is told, in one line, what is being done.

    Raises:
        SegkdError: for an unknown method, a limit on mIoU without truth, or a network without convolutions.
        GateFailed: if no choice of layers holds the limits.
    """
    if options.method not in ("auto", *METHODS):
        raise unknown_name("calibration method", options.method, ("auto", *METHODS))
    if options.max_drop is not None and data.truth is None:
        raise SegkdError(
            "--max-drop needs calibration data with masks of the run's classes; name it with --calibration"
        )

    # Ranges of all tensors, by every rule that is asked for.
    layers, prepared = find_layers(model), prepare(model)
    say(f"calibrating on {len(data.frames)} training frames, judging on {len(data.held_out)} others")
    seen, judges = FrameHash(), list(data.held_out)
    frames = with_progress(seen.watch(data.frames), len(data.frames), "calibration frames", say)
    statistics = collect_statistics(model, tensors_of(model, layers), batches_of(frames, batch))

    # The rule that agrees best on held-out frames.
    probe = Probe(model, judges, data.truth, batch, num_classes, data.content)
    search = _Search(prepared, layers, probe, options, say)
    methods: tuple[Method, ...] = METHODS if options.method == "auto" else (options.method,)
    ranges = {method: {name: found.limits(method) for name, found in statistics.items()} for method in methods}
    tried = {}
    for name in methods:
        say(f"quantising with ranges by {name}")
        tried[name] = search.try_without(ranges[name], [])
    method = max(methods, key=lambda name: tried[name].score.agreement)

    # Layers that lose most stay in float until the limits hold.
    best, ranking = tried[method], None
    if options.sensitivity or not options.reached_by(best.score):
        say(f"measuring {len(layers)} layers one by one")
        few = judges[:: -(-len(judges) // RANKING_FRAMES)]
        ranking = rank_layers(
            prepared, ranges[method], layers, Probe(model, few, None, batch, num_classes, data.content), say
        )
        best = search.keep_worst(ranges[method], [row.layer for row in ranking], best)
    if best.float_layers:
        say(f"{len(best.float_layers)} of {len(layers)} layers stay in float: {', '.join(best.float_layers)}")

    calibration = Calibration(
        data=data.name,
        fingerprint=data.fingerprint,
        ids=data.frames.ids,
        sha256=seen.hexdigest(),
        held_out=data.held_out.ids,
        method=method,
        chosen="auto" if options.method == "auto" else "asked",
        scores={name: found.score.to_dict() for name, found in tried.items()},
        min_agreement=options.min_agreement,
        max_drop=options.max_drop,
        reached=best.score.to_dict(),
    )
    return Quantised(best.models, calibration, best.float_layers, ranking)


@dataclass(frozen=True)
class _Choice:
    """Both forms with some layers in float, and the worse of their scores."""

    float_layers: list[str]
    models: dict[str, Any]
    score: Score


@dataclass(frozen=True)
class _Search:
    """Tries choices of layers."""

    model: Any
    layers: Sequence[Layer]
    probe: Probe
    options: Int8Options
    say: Callable[[str], None]

    def try_without(self, ranges: Ranges, float_layers: list[str]) -> _Choice:
        """Quantise all layers but some."""
        chosen = [layer for layer in self.layers if layer.name not in float_layers]
        models = {form: quantise(self.model, form, ranges, chosen) for form in FORMS}
        return _Choice(float_layers, models, reduce(Score.worse_of, map(self.probe.score, models.values())))

    def keep_worst(self, ranges: Ranges, order: Sequence[str], without: _Choice) -> _Choice:
        """Keep the fewest of the worst layers in float that hold the limits: doubled until they do, then bisected."""
        if self.options.reached_by(without.score):
            return without

        # Twice as many until it holds, then the fewest between.
        failing, count = 0, 1
        while True:
            self.say(f"quantising with the worst {count} of {len(order)} layers in float")
            found = self.try_without(ranges, list(order[:count]))
            if self.options.reached_by(found.score):
                break
            if count == len(order) - 1:
                raise GateFailed(self._refusal(found))
            failing, count = count, min(2 * count, len(order) - 1)

        while count - failing > 1:
            middle = (failing + count) // 2
            self.say(f"quantising with the worst {middle} of {len(order)} layers in float")
            tried = self.try_without(ranges, list(order[:middle]))
            if self.options.reached_by(tried.score):
                found, count = tried, middle
            else:
                failing = middle

        return found

    def _refusal(self, found: _Choice) -> str:
        limits = f"--min-agreement {self.options.min_agreement:g}"
        limits += "" if self.options.max_drop is None else f" and --max-drop {self.options.max_drop:g}"
        drop = "" if found.score.drop is None else f" and loses {found.score.drop:.2f} points of mIoU"
        return (
            f"int8 does not hold {limits}: with all but one layer in float it agrees on {found.score.agreement:.4f} of "
            f"the held-out pixels{drop}; allow more, or use --precision fp16"
        )
