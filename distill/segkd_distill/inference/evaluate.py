"""Networks as predictors: images to labels at the size of the truth, and the validation of a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segkd.data.base import Dataset, Sample, parse_spec
from segkd.errors import SegkdError
from segkd.evaluation import FULL, Inference, NotFiniteError, Predictor, Protocol, evaluate_set, protocol_of
from segkd.evaluation.protocols import two_thirds
from segkd.metrics import ConfusionMatrix, MetricSuite
from segkd.recipe import Recipe
from segkd_distill.device import describe_device, place
from segkd_distill.inference.logit_map import LogitMap, UpsampledMap, most_likely, upsampling
from segkd_distill.inference.multi_scale import average_logits, average_probabilities, scaled_size
from segkd_distill.inference.sliding_window import SlidingMap
from segkd_distill.models.network import Network


class NetworkPredictor(Predictor):
    """A network on a device.

    Always in float32, with weights and images in channels_last memory: the same weights give the same labels, whether
    they were just trained or read from a file. Another ``batch`` may pick other kernels and turn a pixel where two
    classes tie to the last bit; training and ``segkd eval`` both use 1.

    Args:
        model: moved to ``device`` when entered; its training mode is restored at the end.
        device: where to run.
        class_names: the classes of its logits.
        inference: how images become labels.
        batch: images of equal size that go through the network together.
        threads: CPU threads; None for torch's own number.
        origin: what :meth:`describe` tells besides the device.
    """

    def __init__(
        self,
        model: Network,
        device: torch.device,
        class_names: Sequence[str],
        *,
        inference: Inference | None = None,
        batch: int = 1,
        threads: int | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self.class_names = tuple(class_names)
        self.batch = batch
        self._model, self._device = model, device
        self._inference = inference or Inference()
        self._threads, self._threads_before = threads, torch.get_num_threads()
        self._origin = dict(origin or {})
        self._was_training = model.training

    def __enter__(self) -> NetworkPredictor:
        """Move the network and switch it to evaluation."""
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        place(self._model, self._device)
        self._was_training = self._model.training
        self._model.eval()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back mode and threads."""
        self._model.train(self._was_training)
        if self._threads is not None:
            torch.set_num_threads(self._threads_before)

    def predict(self, samples: Sequence[Sample]) -> list[NDArray[np.uint8]]:
        """Labels of images of one size."""
        return list(predict(self._model, np.stack([sample.image for sample in samples]), self._inference))

    def describe(self) -> dict[str, Any]:
        """Where the network comes from, and its device."""
        return {**self._origin, "device": describe_device(self._device)}


def evaluate(
    model: Network,
    dataset: Dataset,
    device: torch.device,
    *,
    batch: int = 1,
    inference: Inference | None = None,
    protocol: Protocol = FULL,
    on_progress: Callable[[int], None] | None = None,
) -> ConfusionMatrix:
    """Count right and wrong pixels over a data set; what a training run validates with.

    Args:
        model: moved to ``device``; its training mode is restored.
        dataset: with masks; images may differ in size.
        device: where to run.
        batch: images of equal size that go through the network together.
        inference: how images become labels.
        protocol: what happens to images and labels first.
        on_progress: called with the number of images done.

    Raises:
        SegkdError: if the data set has no masks or other classes in number than the network, or if its logits are not
            finite.
    """
    if dataset.has_masks and dataset.labels.num_classes != model.num_classes:
        raise SegkdError(
            f"the network has {model.num_classes} classes, the data set {dataset.labels.num_classes}: "
            "evaluate on a data set with the classes that it was trained on"
        )
    names = dataset.labels.names if dataset.has_masks else ()
    with NetworkPredictor(model, device, names, inference=inference, batch=batch) as predictor:
        suite = MetricSuite(names or ("",))
        evaluate_set(predictor, dataset, suite, protocol=protocol, on_progress=on_progress)
    return suite.confusion


def validation_rules(recipe: Recipe) -> tuple[Inference, Protocol]:
    """How a training run validates.

    Raises:
        SegkdError: for a sliding window without a size, or of settings that contradict each other.
    """
    wanted, data = recipe.eval, recipe.data.val or recipe.data.train
    protocol = protocol_of(wanted.protocol)
    crop, stride = wanted.crop, wanted.stride
    if wanted.mode == "slide":
        crop = crop or recipe.augment.crop
        if crop is None:
            raise SegkdError("eval.mode slide needs the size of its window: set eval.crop or augment.crop")
        stride = stride or two_thirds(crop)
    elif crop or stride:
        raise SegkdError("eval.crop and eval.stride belong to eval.mode slide")
    inference = Inference(
        mode=wanted.mode,
        crop=crop,
        stride=stride,
        test_scale=protocol.test_scale(parse_spec(data)[0]) if data is not None else None,
        align_corners=protocol.align_corners,
        average=protocol.average,
    )
    return inference, protocol


@torch.no_grad()
def predict(model: Network, images: NDArray[np.uint8], inference: Inference | None = None) -> NDArray[np.uint8]:
    """The most likely class of every pixel.

    Args:
        model: in eval mode, with its weights in channels_last memory, on the device to use.
        images: uint8 RGB (N, H, W, 3).
        inference: how.

    Returns:
        uint8 (N, H, W).

    Raises:
        NotFiniteError: if a logit is nan or infinite.
    """
    inference = inference or Inference()
    maps = [
        _logits(model, _scaled(images, scale, inference, model.mean.device), images.shape[1:3], inference, flipped)
        for scale in inference.scales
        for flipped in ((False, True) if inference.flip else (False,))
    ]
    if len(maps) == 1:
        labels = most_likely(maps[0])
    else:
        labels = average_probabilities(maps) if inference.average == "probabilities" else average_logits(maps)
    on_host: NDArray[np.uint8] = labels.cpu().numpy()
    return on_host


def _logits(model: Network, pixels: Tensor, size: tuple[int, ...], inference: Inference, flipped: bool) -> LogitMap:
    """One look at a batch (N, 3, h, w)."""
    upsample = upsampling(model, inference.align_corners)
    looked_at = pixels.flip(-1) if flipped else pixels
    if inference.mode == "slide":
        assert inference.crop is not None and inference.stride is not None
        return SlidingMap(
            looked_at,
            lambda part: _finite_logits(model, part),
            crop=inference.crop,
            stride=inference.stride,
            size=size,
            upsample=upsample,
            flipped=flipped,
        )
    return UpsampledMap(_finite_logits(model, looked_at), size, upsample, flipped=flipped)


def _finite_logits(model: Network, pixels: Tensor) -> Tensor:
    """Float32 logits (N, K, h, w)."""
    logits = model(pixels).logits.float()
    finite = torch.isfinite(logits).flatten(1).all(1)
    if not finite.all():
        raise NotFiniteError(int(finite.logical_not().nonzero()[0]))
    return logits


def _scaled(images: NDArray[np.uint8], scale: float, inference: Inference, device: torch.device) -> Tensor:
    """The network's input (N, 3, h, w): uint8, or float where CIRKD's rules resize on the device."""
    if inference.average == "logits" and scale != 1 and inference.test_scale is None:
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
        return F.interpolate(pixels, scale_factor=scale, mode="bilinear", align_corners=True)
    height, width = scaled_size((images.shape[1], images.shape[2]), scale, inference.test_scale)
    if (height, width) != images.shape[1:3]:
        images = np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) for image in images])
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
