"""A network of Hugging Face transformers behind the interface of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkd.errors import SegkdError, import_extra
from segkd_distill.models.adapters.hf_folder import Preprocessing
from segkd_distill.models.adapters.logits import LogitsNetwork

# Models whose position codes are laid out for the size of their training.
ONE_SIZE = ("beit", "data2vec-vision", "dpt")


def load_model(folder: Path, auto_class: str, **settings: Any) -> Any:
    """Load a folder; every weight that labels an image must be in it.

    Args:
        folder: as ``save_pretrained`` wrote it.
        auto_class: transformers' class that picks the model, as ``AutoModelForSemanticSegmentation``.
        settings: keys of the configuration to change.

    Raises:
        SegkdError: if transformers cannot make such a model of it, or weights are missing.
        MissingExtra: if transformers is not installed.
    """
    transformers = import_extra("transformers", "hf")
    try:
        model, report = getattr(transformers, auto_class).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, output_loading_info=True, **settings
        )
    except (OSError, ValueError, ImportError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SegkdError(f"hf:{folder}: transformers makes no semantic segmentation model of it ({reason})") from error

    # The weights of a training loss label nothing.
    names = (str(name) for name in (*report["missing_keys"], *report["mismatched_keys"]))
    absent = sorted(name for name in names if not name.startswith("criterion."))
    if absent:
        raise SegkdError(
            f"hf:{folder} lacks {len(absent)} of the model's weights ({', '.join(absent[:3])}): nothing falls back "
            "to random weights; give a model that was trained for segmentation"
        )
    return model


def trained_size(config: Any) -> tuple[int, int]:
    """Height and width that a configuration's ``image_size`` gives, one number or two."""
    size = config.image_size
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


class HuggingFaceModel(LogitsNetwork):
    """A transformers model; subclasses turn its output into logits.

    Args:
        model: the model.
        pixels: what it expects.
    """

    def __init__(self, model: Any, pixels: Preprocessing) -> None:
        super().__init__(model.config.num_labels, mean=pixels.mean, std=pixels.std)
        self.model = model
        self.bgr = pixels.bgr
        if pixels.bgr:  # mean and deviation are for the model's channels
            self.mean, self.std = self.mean.flip(1), self.std.flip(1)

    def run(self, pixels: Tensor, **inputs: Tensor) -> Any:
        """The model's own output.

        Raises:
            SegkdError: if the model cannot take images of this size; some take only the one of their training.
        """
        try:
            return self.model(pixel_values=pixels.flip(1) if self.bgr else pixels, **inputs)
        except (RuntimeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            config = self.model.config
            trained, reason = getattr(config, "image_size", None), " ".join(str(error).split())[:120]
            fit = " or --teacher-fit" if self.input_size() is not None else ""
            raise SegkdError(
                f"the teacher, a {config.model_type}, failed on images of {pixels.shape[2]}x"
                f"{pixels.shape[3]} ({reason}); it was trained at {trained or 'a size of its own'}: try --imgsz{fit}"
            ) from error


class SemanticModel(HuggingFaceModel):
    """A model whose output has ``logits`` (N, K, h, w)."""

    def input_size(self) -> tuple[int, int] | None:
        """The size of its training, where position codes are laid out for it."""
        return trained_size(self.model.config) if self.model.config.model_type in ONE_SIZE else None

    def check_size(self, size: Sequence[int]) -> None:
        """Nothing: which other sizes such a model can take is its own business; :meth:`run` says when it cannot."""

    def logits(self, pixels: Tensor) -> Tensor:
        """The model's logits."""
        logits: Tensor = self.run(pixels).logits
        return logits
