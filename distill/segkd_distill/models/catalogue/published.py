"""What papers say that the networks of the zoo cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A network's row in a published table.

    Attributes:
        source: where the figures are.
        num_classes: classes that they are for.
        parameters_m: parameters in millions, with the auxiliary head.
        flops_g: multiply-adds of one image in 10^9, by fvcore's rules; None where the source has none.
        imgsz: height and width in pixels that ``flops_g`` is for.
        note: why ours differ, where they do.
    """

    source: str
    num_classes: int
    parameters_m: float
    flops_g: float | None = None
    imgsz: tuple[int, int] = (512, 512)
    note: str = ""


_BPKD = "BPKD (arXiv 2306.08075), supplementary table 2"
# Without its FLOPs: the counter of the repository is wrong for dilated convolutions.
_CIRKD = "CIRKD (arXiv 2204.06986)"
_ATTNFD = "AttnFD, README of the repository AmirMansurian/AttnFD"
_NO_CBAM = "without the attention modules that only the method adds"
_HRNET = (
    "mmsegmentation resizes maps that already have the right size, and fvcore counts that; "
    "these networks leave such resizes out, the values are the same"
)

PUBLISHED: dict[str, Published] = {
    "pspnet-r101": Published(_BPKD, 150, 68.07, 256.89),
    "pspnet-r18": Published(_BPKD, 150, 12.82, 54.53),
    "hrnet-w48": Published(_BPKD, 150, 65.95, 95.64, note=_HRNET),
    "hrnet-w18s": Published(_BPKD, 150, 3.97, 10.49, note=_HRNET),
    "deeplabv3plus-r101": Published(_BPKD, 150, 62.68, 255.67),
    "deeplabv3plus-mv2": Published(_BPKD, 150, 15.35, 69.60),
    "isanet-r101": Published(_BPKD, 150, 56.80, 228.21),
    "isanet-r18": Published(_BPKD, 150, 12.46, 54.33),
    "cirkd-deeplabv3-r101": Published(_CIRKD, 19, 61.1),
    "cirkd-deeplabv3-r18": Published(_CIRKD, 19, 13.6),
    "cirkd-deeplabv3-mv2": Published(_CIRKD, 19, 3.2),
    "cirkd-pspnet-r18": Published(_CIRKD, 19, 12.9),
    "attnfd-deeplabv3plus-r101": Published(_ATTNFD, 21, 59.3, note=_NO_CBAM),
    "attnfd-deeplabv3plus-r18": Published(_ATTNFD, 21, 16.6, note=_NO_CBAM),
    "attnfd-deeplabv3plus-mv2": Published(_ATTNFD, 21, 5.9, note=f"{_NO_CBAM}; with them it has 5.846 M"),
}
