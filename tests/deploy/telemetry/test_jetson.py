from __future__ import annotations

from pathlib import Path

import pytest

from segkd_deploy.chips import CHIPS
from segkd_deploy.telemetry.jetson import (
    MODELS,
    MODULES,
    PowerMode,
    is_tegra,
    parse_l4t,
    parse_nvpmodel_query,
    read_board,
    read_cuda,
    read_jetpack,
    read_l4t,
    read_model,
    read_power_mode,
)
from tests.deploy.telemetry.trees import JETSONS, Tree, agx_orin, computer, orin_nano, orin_nx


@pytest.mark.parametrize(
    ("board", "l4t", "jetpack", "mode"),
    [
        ("orin-nano", "36.4.3", "6.2", PowerMode(1, "25W")),
        ("orin-nx", "36.3.0", "6.0", PowerMode(0, "MAXN")),
        ("orin", "36.4.0", "6.1", PowerMode(0, "MAXN")),
        ("thor", "38.2.0", "7.0", PowerMode(1, "120W")),
    ],
)
def test_identity_of_the_boards(tmp_path: Path, board: str, l4t: str, jetpack: str, mode: PowerMode) -> None:
    JETSONS[board](tmp_path)
    assert is_tegra(tmp_path)
    assert read_board(tmp_path) == board
    assert (read_l4t(tmp_path), read_jetpack(tmp_path), read_power_mode(tmp_path)) == (l4t, jetpack, mode)


def test_boards_are_chips() -> None:
    assert {*MODULES.values(), *MODELS.values()} == {name for name, chip in CHIPS.items() if chip.jetson}


def test_module_number_wins_over_the_carrier_makers_text(tmp_path: Path) -> None:
    orin_nx(tmp_path)
    assert read_model(tmp_path) == "NVIDIA Jetson Orin Nano Developer Kit"
    assert read_board(tmp_path) == "orin-nx"


def test_text_counts_where_the_module_number_is_unknown(tmp_path: Path) -> None:
    tree = orin_nx(tmp_path)
    tree.write("/proc/device-tree/compatible", "maker,board\0nvidia,tegra234")
    assert read_board(tmp_path) == "orin-nano"
    tree.write("/proc/device-tree/model", "Maker's Vision Box")
    assert read_board(tmp_path) is None and is_tegra(tmp_path)


def test_packages_tell_where_the_release_file_is_missing(tmp_path: Path) -> None:
    tree = agx_orin(tmp_path)
    tree.remove("/etc/nv_tegra_release")
    assert read_l4t(tmp_path) is None and read_jetpack(tmp_path) is None
    tree.package("nvidia-l4t-core", "36.4.4-20250616085344")
    assert (read_l4t(tmp_path), read_jetpack(tmp_path)) == ("36.4.4", "6.2.1")


def test_a_removed_package_does_not_count(tmp_path: Path) -> None:
    tree = agx_orin(tmp_path)
    tree.write("/var/lib/dpkg/status", "Package: nvidia-jetpack\nStatus: deinstall ok config-files\nVersion: 5.1\n")
    assert read_jetpack(tmp_path) == "6.1"


def test_unknown_l4t_has_no_jetpack(tmp_path: Path) -> None:
    tree = agx_orin(tmp_path)
    tree.write("/etc/nv_tegra_release", "# R99 (release), REVISION: 1.0, GCID: 1")
    assert (read_l4t(tmp_path), read_jetpack(tmp_path)) == ("99.1.0", None)


def test_power_mode_without_names_and_without_status(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    tree.write("/var/lib/nvpmodel/status", "pmode:0002 fmode:quiet")
    assert read_power_mode(tmp_path) == PowerMode(2, "MAXN_SUPER")
    tree.remove("/etc/nvpmodel.conf")
    assert read_power_mode(tmp_path) == PowerMode(2, None)
    tree.remove("/var/lib/nvpmodel/status")
    assert read_power_mode(tmp_path) is None


def test_what_nvpmodel_prints() -> None:
    assert parse_nvpmodel_query("NV Fan Mode:quiet\nNV Power Mode: MAXN_SUPER\n2\n") == PowerMode(2, "MAXN_SUPER")
    assert parse_nvpmodel_query("NV Power Mode: 15W") == PowerMode(None, "15W")
    assert parse_nvpmodel_query("NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13") is None


def test_l4t_release_line() -> None:
    line = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37"
    assert parse_l4t(line) == "36.4.3"
    assert parse_l4t("Ubuntu") is None
    assert parse_l4t(None) is None


def test_cuda_toolkit(tmp_path: Path) -> None:
    assert read_cuda(tmp_path) is None
    tree = Tree(tmp_path)
    tree.write("/usr/local/cuda/version.json", '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}')
    assert read_cuda(tmp_path) == "12.6.11"
    tree.write("/usr/local/cuda/version.json", "{")
    assert read_cuda(tmp_path) is None


def test_a_computer_is_no_jetson(tmp_path: Path) -> None:
    computer(tmp_path)
    assert not is_tegra(tmp_path)
    assert (read_board(tmp_path), read_model(tmp_path), read_power_mode(tmp_path)) == (None, None, None)
