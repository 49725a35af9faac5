"""Mask classifiers of transformers: MaskFormer, Mask2Former, OneFormer, EoMT.

Each query says which class it is, or none, and which pixels it covers. A class's score at a pixel is the sum over
queries of both probabilities, ``sum_q softmax(class_q)[k] * sigmoid(mask_q)``, with "no object" left out after the
softmax, as the processors' ``post_process_semantic_segmentation`` computes it (transformers 5.23).

Differs from the original: the masks keep their own resolution, where the processors of Mask2Former and EoMT resize
them to 384x384 and to the training size before the sigmoid.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkd.errors import SegkdError, import_extra
from segkd_distill.models.adapters.hf_folder import Preprocessing, normalisation
from segkd_distill.models.adapters.hf_model import HuggingFaceModel, load_model, trained_size
from segkd_distill.models.output import SegOutput, TapInfo

# Model type -> the module whose output, one vector per pixel, is multiplied by the queries to give the masks.
_PROJECTION = "model.pixel_level_module.decoder.mask_projection"
MASK_CLASSIFIERS: dict[str, str] = {
    "eomt": "upscale_block",
    "eomt_dinov3": "upscale_block",
    "mask2former": _PROJECTION,
    "maskformer": _PROJECTION,
    "oneformer": _PROJECTION,
}
SMALLEST_SCORE = 1e-20
"""Scores below it count as it: their logarithm stays finite."""

TASK = "the task is semantic"
# TASK in the vocabulary of CLIP, which every published OneFormer uses.
CLIP_TASK = (49406, 518, 10549, 533, 29119, 1550, 49407)
TOKENIZER_FILES = ("tokenizer.json", "vocab.json")


def open_mask_classifier(folder: Path, model_type: str) -> MaskClassifier:
    """Load a folder that ``save_pretrained`` wrote.

    Args:
        folder: the folder.
        model_type: what its configuration says it is, a key of ``MASK_CLASSIFIERS``.

    Raises:
        SegkdError: if it cannot be loaded or lacks weights.
        MissingExtra: if transformers is not installed.
    """
    # A OneFormer that was saved while training wants texts for its loss.
    settings = {"is_training": False} if model_type == "oneformer" else {}
    model = load_model(folder, "AutoModelForUniversalSegmentation", **settings)
    task = task_tokens(folder, model.config.task_seq_len) if model_type == "oneformer" else None
    return MaskClassifier(model, normalisation(folder), task)


def task_tokens(folder: Path, length: int) -> Tensor:
    """OneFormer's input that asks for semantic segmentation: token numbers, 0 behind the text, float (1, length).

    Raises:
        SegkdError: if the folder's tokenizer cannot be read.
    """
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        print(f"hf:{folder} has no tokenizer: its task is given in CLIP's vocabulary", file=sys.stderr)
        numbers = list(CLIP_TASK)
    else:
        transformers = import_extra("transformers", "hf")
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            numbers = list(tokenizer(TASK)["input_ids"])
        except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise SegkdError(f"hf:{folder}: transformers cannot read its tokenizer ({reason})") from error
    return torch.tensor([(numbers + [0] * length)[:length]], dtype=torch.float32)


class MaskClassifier(HuggingFaceModel):
    """A mask classifier as a network whose logits are the logarithms of its scores.

    ``logits.exp()`` are the scores, which add up to no fixed sum; the softmax of the logits is their share.

    Args:
        model: gives ``class_queries_logits`` (N, Q, K + 1) and ``masks_queries_logits`` (N, Q, h, w).
        pixels: what it expects.
        task: OneFormer's task, (1, length).

    Attributes:
        task: OneFormer's task, None for others.
    """

    task: Tensor | None

    def __init__(self, model: Any, pixels: Preprocessing, task: Tensor | None = None) -> None:
        super().__init__(model, pixels)
        self.register_buffer("task", task, persistent=False)

    def forward(self, image: Tensor, taps: frozenset[str] = frozenset()) -> SegOutput:
        """Segment images (N, 3, H, W), RGB, uint8 or float, 0..255.

        Raises:
            SegkdError: for an image of another shape or size, or a tap other than ``decoder``.
        """
        if taps != {"decoder"}:
            return super().forward(image, taps)

        # The last call counts: EoMT computes masks for its attention as well.
        features: list[Tensor] = []
        hook = self._projection().register_forward_hook(lambda module, inputs, output: features.append(output))
        try:
            output = super().forward(image)
        finally:
            hook.remove()
        return SegOutput(output.logits, None, {"decoder": features[-1]})

    def logits(self, pixels: Tensor) -> Tensor:
        """Logarithms of the scores (N, K, h, w), float32, at the masks' resolution."""
        inputs = {} if self.task is None else {"task_inputs": self.task.expand(len(pixels), -1)}
        output = self.run(pixels, **inputs)
        return self.from_scores(class_scores(output.class_queries_logits, output.masks_queries_logits))

    def to_scores(self, logits: Tensor) -> Tensor:
        """The scores: resized and averaged as the processors do it, not their logarithms."""
        return logits.exp()

    def from_scores(self, scores: Tensor) -> Tensor:
        """Logarithms, not below that of ``SMALLEST_SCORE``."""
        return scores.clamp(min=SMALLEST_SCORE).log()

    def tap_info(self) -> TapInfo:
        """The pixels' vectors as ``decoder``."""
        config = self.model.config
        if config.model_type.startswith("eomt"):
            channels, stride = config.hidden_size, max(1, config.patch_size // 2**config.num_upscale_blocks)
        else:
            channels, stride = self._projection().out_channels, 4
        return TapInfo({"decoder": channels}, {"decoder": stride, "logits": stride}, self.num_classes)

    def input_size(self) -> tuple[int, int] | None:
        """The size of EoMT's training; None for the others."""
        return trained_size(self.model.config) if self.model.config.model_type.startswith("eomt") else None

    def _projection(self) -> Any:
        return self.model.get_submodule(MASK_CLASSIFIERS[self.model.config.model_type])


def class_scores(classes: Tensor, masks: Tensor) -> Tensor:
    """Sum over queries of class probability times mask probability.

    Args:
        classes: logits (N, Q, K + 1); the last is "no object".
        masks: logits (N, Q, h, w).

    Returns:
        (N, K, h, w), float32.
    """
    # In half precision small scores would vanish.
    with torch.autocast(masks.device.type, enabled=False):
        probabilities = classes.float().softmax(2)[..., :-1]
        return torch.einsum("nqk,nqhw->nkhw", probabilities, masks.float().sigmoid())
