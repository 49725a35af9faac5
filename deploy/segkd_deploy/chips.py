"""The chips that graphs are made for: compute capability, the TensorRT that comes with them, and their DLA.

Facts: NVIDIA's JetPack and TensorRT release notes as of 2026-11. Where NVIDIA has not said which TensorRT a JetPack
holds, ``Release.confirmed`` is False.
"""

from __future__ import annotations

from dataclasses import dataclass

from segkd.errors import SegkdError, unknown_name


@dataclass(frozen=True)
class Line:
    """What one line of TensorRT releases takes.

    Attributes:
        name: ``major.minor``, or ``rtx-major.minor`` for TensorRT-RTX.
        version: (major, minor) of the TensorRT whose parser it has.
        max_opset: highest ONNX opset in its parser's documentation.
        strongly_typed: whether the graph's own types are the precision; else flags allow it lower ones.
        int64: whether int64 tensors stay int64; else they become int32.
        dla: whether it can compile for a DLA.
    """

    name: str
    version: tuple[int, int]
    max_opset: int
    strongly_typed: bool = True
    int64: bool = True
    dla: bool = False


LINES: dict[str, Line] = {
    line.name: line
    for line in (
        Line("8.6", (8, 6), 17, strongly_typed=False, int64=False, dla=True),
        Line("10.3", (10, 3), 20, dla=True),
        Line("10.13", (10, 13), 22),
        Line("11.4", (11, 4), 24),
        Line("rtx-1.7", (11, 0), 24),
    )
}


@dataclass(frozen=True)
class Release:
    """A way to get a line of TensorRT on a chip.

    Attributes:
        line: a key of ``LINES``.
        source: what brings it.
        confirmed: whether NVIDIA's documents name this version.
        dla: whether its DLA compiler works on this chip; None as the line says.
    """

    line: str
    source: str
    confirmed: bool = True
    dla: bool | None = None


@dataclass(frozen=True)
class Chip:
    """A GPU or a module with one.

    Attributes:
        name: its key in ``CHIPS``.
        title: its product name.
        sm: compute capability, ``major.minor``.
        releases: where TensorRT comes from; the first is what ``--chip`` means without ``--tensorrt``.
        jetson: whether it is a Jetson: memory is shared by CPU and GPU, TensorRT comes with JetPack.
        dla_cores: deep learning accelerators beside the GPU.
    """

    name: str
    title: str
    sm: str
    releases: tuple[Release, ...]
    jetson: bool = False
    dla_cores: int = 0

    @property
    def lines(self) -> tuple[str, ...]:
        """Keys of ``LINES`` that run on the chip, the default first, each once."""
        return tuple(dict.fromkeys(release.line for release in self.releases))

    def line(self, name: str | None = None) -> Line:
        """A line that runs on the chip; without a name the default one.

        Raises:
            SegkdError: for a line that is unknown or does not run on the chip.
        """
        if name is None:
            return LINES[self.lines[0]]
        if name not in LINES:
            raise unknown_name("TensorRT line", name, LINES)
        if name not in self.lines:
            raise SegkdError(f"TensorRT {name} does not run on {self.title}; it has {', '.join(self.lines)}")
        return LINES[name]

    def has_dla(self, line: str) -> bool:
        """Whether engines for a DLA can be built on the chip with a line."""
        said = [release.dla for release in self.releases if release.line == line and release.dla is not None]
        return self.dla_cores > 0 and (any(said) if said else LINES[line].dla)


_JETPACK_6 = (Release("10.3", "JetPack 6.1, 6.2"), Release("8.6", "JetPack 6.0"))
_JETPACK_7_ORIN = Release("10.13", "JetPack 7.2", confirmed=False)
_JETPACK_7_THOR = (
    Release("10.13", "JetPack 7.0, 7.1, 7.2"),
    Release("11.4", "TensorRT 11.4.1 SBSA on JetPack 7.2.2"),
)
_PYPI = (Release("11.4", "pip"), Release("10.13", "pip"), Release("10.3", "pip"))
_PYPI_BLACKWELL = (Release("11.4", "pip"), Release("10.13", "pip"))
_RTX = (Release("rtx-1.7", "pip install tensorrt-rtx"),)

CHIPS: dict[str, Chip] = {
    chip.name: chip
    for chip in (
        Chip(
            "orin",
            "Jetson AGX Orin",
            "8.7",
            (*_JETPACK_6, _JETPACK_7_ORIN, Release("11.4", "TensorRT 11.4.1 SBSA on JetPack 7.2.2", dla=True)),
            jetson=True,
            dla_cores=2,
        ),
        Chip("orin-nx", "Jetson Orin NX", "8.7", (*_JETPACK_6, _JETPACK_7_ORIN), jetson=True, dla_cores=2),
        Chip("orin-nano", "Jetson Orin Nano", "8.7", (*_JETPACK_6, _JETPACK_7_ORIN), jetson=True),
        Chip("thor", "Jetson AGX Thor", "11.0", _JETPACK_7_THOR, jetson=True),
        Chip("rtx20", "GeForce RTX 20, T4", "7.5", (*_PYPI, *_RTX)),
        Chip("a100", "A100", "8.0", (*_PYPI, *_RTX)),
        Chip("rtx30", "GeForce RTX 30, A10", "8.6", (*_PYPI, *_RTX)),
        Chip("rtx40", "GeForce RTX 40, L4", "8.9", (*_PYPI, *_RTX)),
        Chip("h100", "H100, H200", "9.0", _PYPI),
        Chip("rtx50", "GeForce RTX 50", "12.0", (*_PYPI_BLACKWELL, *_RTX)),
        Chip("dgx-spark", "DGX Spark", "12.1", (*_PYPI_BLACKWELL, *_RTX)),
    )
}

# Names that people ask for, with why they are not in the table.
RETIRED: dict[str, str] = {
    "xavier": "its last JetPack is 5, with Python 3.8 and TensorRT 8.5; segkd needs JetPack 6",
    "nano": "its last JetPack is 4, with Python 3.6 and TensorRT 8.2; segkd needs JetPack 6",
    "tx2": "its last JetPack is 4, with Python 3.6 and TensorRT 8.2; segkd needs JetPack 6",
}


def chip_named(name: str) -> Chip:
    """The chip of a name.

    Raises:
        SegkdError: for a chip that is unknown or no longer served, with the nearest name or the reason.
    """
    if name in RETIRED:
        raise SegkdError(f"chip {name!r} is not served: {RETIRED[name]}")
    if name not in CHIPS:
        raise unknown_name("chip", name, CHIPS)
    return CHIPS[name]
