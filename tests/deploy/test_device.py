from __future__ import annotations

import os

from segkd_deploy.device import describe_device, parse_l4t, peak_rss_bytes, physical_cores


def test_l4t_release_line() -> None:
    line = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37"
    assert parse_l4t(line) == "36.4.3"
    assert parse_l4t("Ubuntu") is None
    assert parse_l4t(None) is None


def test_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= physical_cores() <= len(os.sched_getaffinity(0))


def test_cores_follow_the_affinity() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert physical_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


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
