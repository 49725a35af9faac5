"""The network to train, with the weights that it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segkd.errors import SegkdError
from segkd.recipe import StudentSection
from segkd_distill.models.checkpoints import LoadReport, OtherClasses, load_backbone_weights, load_weights
from segkd_distill.models.segmenter import Segmenter
from segkd_distill.models.sources import open_model
from segkd_distill.models.zoo import ModelConfig


def check_start(student: StudentSection) -> None:
    """A recipe that says ``from_scratch: false`` starts from weights.

    Raises:
        SegkdError: saying how to give some, or how to do without.
    """
    given = student.weights is not None or student.backbone_weights is not None
    if student.from_scratch is False and not given and not str(student.model).startswith("hf:"):
        raise SegkdError(
            f"this recipe does not train {student.model} from random weights: give --backbone-weights NAME|FILE "
            "(`segkd weights list`) or --init-from RUN|FILE, or say --from-scratch"
        )


def build_student(
    student: StudentSection, num_classes: int, class_names: Sequence[str] = ()
) -> tuple[Segmenter, ModelConfig]:
    """Build the network and load what it starts from: the backbone's weights first, then the whole network's.

    Args:
        student: a recipe's section; ``model`` is set.
        num_classes: of the data; with ``fresh_classifier`` the classifiers of weights for other classes are left at
            their initial values.
        class_names: of the data, in their order; where the weights have names too, their classifiers are brought into
            this order.

    Returns:
        The network, and its architecture with the normalisation of the weights.

    Raises:
        SegkdError: for an unknown model, or weights that do not fit.
    """
    model, config = open_model(str(student.model), num_classes)
    if student.backbone_weights is not None:
        config = _normalised(config, load_backbone_weights(model, student.backbone_weights))
    if student.weights is not None:
        try:
            report = load_weights(
                model, student.weights, other_classes=student.fresh_classifier, class_names=class_names
            )
        except OtherClasses as error:
            raise SegkdError(f"{error}; with --fresh-classifier the student takes all but the classifier") from error
        config = _normalised(config, report)
    return model, config


def _normalised(config: ModelConfig, report: LoadReport) -> ModelConfig:
    if report.normalisation is None:
        return config
    return replace(config, mean=report.normalisation.mean, std=report.normalisation.std)
