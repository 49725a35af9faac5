from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from segkd_deploy.device import describe_device, peak_rss_bytes
from tests.deploy.telemetry.trees import orin_nano


def test_peak_memory_grows_with_what_was_held() -> None:
    before = peak_rss_bytes()
    held = bytearray(os.urandom(1 << 20) * 64)
    after = peak_rss_bytes()
    assert before is not None and after is not None and len(held) == 64 << 20
    assert after >= before and after > 64 << 20


def test_description_has_every_field() -> None:
    device = describe_device()
    assert {"model", "l4t", "jetpack", "sm", "cuda", "nvpmodel", "clocks_locked"} <= device.keys()
    assert {"gpu_mhz", "cpu_mhz", "emc_mhz", "governor", "cores", "platform"} <= device.keys()
    assert device["model"] and device["memory_bytes"] > 1 << 28


def test_description_of_a_jetson(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    device = describe_device(tmp_path)
    assert device["model"] == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (device["l4t"], device["jetpack"], device["sm"]) == ("36.4.3", "6.2", "8.7")
    assert device["nvpmodel"] == {"id": 1, "name": "25W"}
    assert (device["gpu_mhz"], device["emc_mhz"], device["cpu_mhz"]) == (306.0, 2133.0, 1190.4)
    assert (device["governor"], device["clocks_locked"]) == ("schedutil", False)
    assert device["state"]["power"]["rail"] == "VDD_IN"


def test_a_cold_start_does_not_pay_for_telemetry() -> None:
    code = "import sys, segkd_deploy.device; print([name for name in sys.modules if 'segkd_deploy.telemetry' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
