"""Published weights that ``segkd weights fetch`` knows, and where fetched files lie.

Sources: mmcv 1.x, ``mmcv/model_zoo/open_mmlab.json`` and ``mmcls.json``, for the ImageNet backbones; mmsegmentation
0.26.0, ``configs/*/*.yml``, for the networks. open-mmlab publishes no full SHA-256: its file names end with the first
eight digits, and those are what is checked. Files that lie in Google Drive or Baidu without a checksum (CIRKD, Af-DCD,
AttnFD) are not here: download them by hand and give their path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from segkd.errors import SegkdError, unknown_name

HOST = "https://download.openmmlab.com/"


@dataclass(frozen=True)
class PublishedWeights:
    """A file on the network.

    Attributes:
        name: what it is called here.
        url: where it lies; its last part names the file in the cache.
        sha256: the first digits of its SHA-256 in lower-case hex, or all 64.
        model: the model that it fits, or with ``*`` every model with that backbone.
        trained_on: the data set.
    """

    name: str
    url: str
    sha256: str
    model: str
    trained_on: str

    @property
    def is_backbone(self) -> bool:
        """Whether it holds a backbone alone."""
        return self.trained_on == "ImageNet"

    @property
    def path(self) -> Path:
        """Where it lies once it is fetched."""
        return cache_folder() / self.url.rsplit("/", 1)[1]


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/segkd/weights``; by default below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segkd" / "weights"


def _file(name: str, tail: str, model: str, trained_on: str) -> PublishedWeights:
    digits = re.search(r"-([0-9a-f]{8})\.pth$", tail)
    if digits is None:
        raise ValueError(f"{tail} does not end with eight digits of its SHA-256")
    return PublishedWeights(name, HOST + tail, digits[1], model, trained_on)


def _network(name: str, folder: str, config: str, stamp: str, model: str, trained_on: str) -> PublishedWeights:
    return _file(name, f"mmsegmentation/v0.5/{folder}/{config}/{config}_{stamp}.pth", model, trained_on)


_BACKBONES = (
    _file("resnet18-v1c", "pretrain/third_party/resnet18_v1c-b5776b93.pth", "*-r18", "ImageNet"),
    _file("resnet50-v1c", "pretrain/third_party/resnet50_v1c-2cccc1ad.pth", "*-r50", "ImageNet"),
    _file("resnet101-v1c", "pretrain/third_party/resnet101_v1c-e67eebb6.pth", "*-r101", "ImageNet"),
    _file("hrnetv2-w18s", "pretrain/third_party/hrnetv2_w18_small-b5a04e21.pth", "hrnet-w18s", "ImageNet"),
    _file("hrnetv2-w48", "pretrain/third_party/hrnetv2_w48-d2186c55.pth", "hrnet-w48", "ImageNet"),
    _file(
        "mobilenetv2",
        "mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth",
        "*-mv2",
        "ImageNet",
    ),
)
# model, mmsegmentation's folder, its config, date and digits.
_CITYSCAPES = (
    ("pspnet-r18", "pspnet", "pspnet_r18-d8_512x1024_80k_cityscapes", "20201225_021458-09ffa746"),
    ("pspnet-r50", "pspnet", "pspnet_r50-d8_512x1024_80k_cityscapes", "20200606_112131-2376f12b"),
    ("pspnet-r101", "pspnet", "pspnet_r101-d8_512x1024_80k_cityscapes", "20200606_112211-e1e1100f"),
    ("pspnet-mv2", "mobilenet_v2", "pspnet_m-v2-d8_512x1024_80k_cityscapes", "20200825_124817-19e81d51"),
    ("deeplabv3-r18", "deeplabv3", "deeplabv3_r18-d8_512x1024_80k_cityscapes", "20201225_021506-23dffbe2"),
    ("deeplabv3-r101", "deeplabv3", "deeplabv3_r101-d8_512x1024_80k_cityscapes", "20200606_113503-9e428899"),
    ("deeplabv3plus-r18", "deeplabv3plus", "deeplabv3plus_r18-d8_512x1024_80k_cityscapes", "20201226_080942-cff257fe"),
    (
        "deeplabv3plus-r101",
        "deeplabv3plus",
        "deeplabv3plus_r101-d8_512x1024_80k_cityscapes",
        "20200606_114143-068fcfe9",
    ),
    ("deeplabv3plus-mv2", "mobilenet_v2", "deeplabv3plus_m-v2-d8_512x1024_80k_cityscapes", "20200825_124836-d256dd4b"),
    ("isanet-r101", "isanet", "isanet_r101-d8_512x1024_80k_cityscapes", "20210901_145243-5b99c9b2"),
    ("hrnet-w18s", "hrnet", "fcn_hr18s_512x1024_80k_cityscapes", "20200601_202700-1462b75d"),
    ("hrnet-w48", "hrnet", "fcn_hr48_512x1024_80k_cityscapes", "20200601_202606-58ea95d6"),
)
_ADE20K = (
    ("pspnet-r101", "pspnet", "pspnet_r101-d8_512x512_160k_ade20k", "20200615_100650-967c316f"),
    ("pspnet-mv2", "mobilenet_v2", "pspnet_m-v2-d8_512x512_160k_ade20k", "20200825_214953-f5942f7a"),
    ("deeplabv3-r101", "deeplabv3", "deeplabv3_r101-d8_512x512_160k_ade20k", "20200615_105816-b1f72b3b"),
    ("deeplabv3plus-r101", "deeplabv3plus", "deeplabv3plus_r101-d8_512x512_160k_ade20k", "20200615_123232-38ed86bb"),
    ("deeplabv3plus-mv2", "mobilenet_v2", "deeplabv3plus_m-v2-d8_512x512_160k_ade20k", "20200825_223255-465a01d4"),
    ("isanet-r101", "isanet", "isanet_r101-d8_512x512_160k_ade20k", "20210903_211431-a7879dcd"),
    ("hrnet-w18s", "hrnet", "fcn_hr18s_512x512_160k_ade20k", "20210829_174739-f1e7c2e7"),
    ("hrnet-w48", "hrnet", "fcn_hr48_512x512_160k_ade20k", "20200614_214407-a52fc02c"),
)
WEIGHTS: dict[str, PublishedWeights] = {
    row.name: row
    for row in (
        *_BACKBONES,
        *(_network(f"{row[0]}-cityscapes", row[1], row[2], row[3], row[0], "Cityscapes") for row in _CITYSCAPES),
        *(_network(f"{row[0]}-ade20k", row[1], row[2], row[3], row[0], "ADE20K") for row in _ADE20K),
    )
}


def published(name: str) -> PublishedWeights:
    """A row of the table.

    Raises:
        SegkdError: for a name that is not in it.
    """
    if name not in WEIGHTS:
        raise unknown_name("published weights", name, WEIGHTS)
    return WEIGHTS[name]


def find_weights(path_or_name: Path | str) -> Path:
    """The file or folder that a path or a name of the table means; a path that exists comes first.

    Raises:
        SegkdError: for a name that was not fetched, or that is neither a path nor near enough to be one.
    """
    path = Path(path_or_name).expanduser()
    if path.exists() or ("#" in str(path) and Path(str(path).rpartition("#")[0]).is_file()):
        return path
    text = str(path_or_name)
    if text in WEIGHTS:
        if not WEIGHTS[text].path.is_file():
            raise SegkdError(f"the weights {text} are not here yet: `segkd weights fetch {text}`")
        return WEIGHTS[text].path
    if os.sep in text or path.suffix:
        raise SegkdError(f"no weights file {path}")
    raise SegkdError(f"no weights file {path}, and {unknown_name('published weights', text, WEIGHTS)}")
