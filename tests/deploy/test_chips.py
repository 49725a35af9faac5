from __future__ import annotations

import pytest

from segkd.errors import SegkdError
from segkd_deploy.chips import CHIPS, LINES, chip_named


@pytest.mark.parametrize(
    ("name", "sm", "default", "dla_cores"),
    [
        ("orin", "8.7", "10.3", 2),
        ("orin-nx", "8.7", "10.3", 2),
        ("orin-nano", "8.7", "10.3", 0),
        ("thor", "11.0", "10.13", 0),
        ("rtx40", "8.9", "11.4", 0),
        ("rtx50", "12.0", "11.4", 0),
        ("dgx-spark", "12.1", "11.4", 0),
    ],
)
def test_facts_of_a_chip(name: str, sm: str, default: str, dla_cores: int) -> None:
    chip = chip_named(name)
    assert (chip.sm, chip.line().name, chip.dla_cores) == (sm, default, dla_cores)


def test_table_is_whole() -> None:
    for name, chip in CHIPS.items():
        assert chip.name == name
        assert set(chip.lines) <= set(LINES)
        assert chip.jetson or chip.dla_cores == 0
    assert {line.name for line in LINES.values()} == set(LINES)


def test_which_tensorrt_can_use_the_dla() -> None:
    orin, nano = chip_named("orin"), chip_named("orin-nano")
    assert [orin.has_dla(line) for line in ("8.6", "10.3", "10.13", "11.4")] == [True, True, False, True]
    assert not any(nano.has_dla(line) for line in nano.lines)
    assert not chip_named("thor").has_dla("10.13")


def test_names_that_are_not_served_say_why() -> None:
    with pytest.raises(SegkdError, match="unknown chip 'orin-nan'; did you mean 'orin-nano'"):
        chip_named("orin-nan")
    with pytest.raises(SegkdError, match="'xavier' is not served: its last JetPack is 5"):
        chip_named("xavier")
    with pytest.raises(SegkdError, match=r"unknown TensorRT line '10\.33'; did you mean '10\.(1?)3'"):
        chip_named("orin").line("10.33")
    with pytest.raises(SegkdError, match=r"TensorRT 8\.6 does not run on Jetson AGX Thor; it has 10\.13, 11\.4"):
        chip_named("thor").line("8.6")
