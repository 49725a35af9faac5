from __future__ import annotations

from segkd_deploy.telemetry.power_source import PowerSource, computer_source, jetson_source


def test_rails_of_a_known_board() -> None:
    source = jetson_source("orin", "AGX Orin", ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"])
    assert source == PowerSource(rails=("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), scope="module")
    assert source.name == "VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0"


def test_unknown_board_is_never_guessed() -> None:
    source = jetson_source(None, "Maker's Box", ["VDD_IN"])
    assert source.name is None
    assert source.reason == 'power is not available: no rule says which rails of "Maker\'s Box" make its total'


def test_missing_rail_is_named() -> None:
    source = jetson_source("orin-nano", "Orin Nano", ["VDD_SOC"])
    assert source.reason == "power is not available: orin-nano needs VDD_IN, found VDD_SOC"
    source = jetson_source("thor", "Thor", [])
    assert source.reason == (
        "power is not available: thor needs VIN or VDD_GPU+VDD_CPU_SOC_MSS+VIN_SYS_5V0, found no rail"
    )


def test_computer_says_what_is_covered() -> None:
    source = computer_source(["package-0", "package-1", "dram-0", "gpu0"], [], [])
    assert source.name == "package-0+package-1+dram-0+gpu0"
    assert source.scope == "processor packages, memory, GPU"
    assert computer_source([], ["gpu0"], ["refused"]) == PowerSource(rails=("gpu0",), scope="GPU")


def test_computer_without_sensors_says_why() -> None:
    assert computer_source([], [], ["no RAPL", "no NVML"]).reason == "power is not available: no RAPL; no NVML"
