from __future__ import annotations

from typing import Any

from segkd_deploy.targets.doctor import state_rows

DEVICE: dict[str, Any] = {
    "model": "NVIDIA Jetson Orin NX",
    "l4t": "36.4.3",
    "jetpack": "6.2",
    "nvpmodel": {"id": 0, "name": "MAXN"},
    "cpu_mhz": 1984.0,
    "gpu_mhz": 918.0,
    "emc_mhz": None,
    "clocks_locked": False,
}
MACHINE: dict[str, Any] = {
    "python": "3.10.12",
    "gpus": None,
    "packages": {"segkd": "0.1.0", "tensorrt": "10.3.0", "onnxruntime": None},
    "onnxruntime_providers": None,
}


def test_rows_of_a_jetson() -> None:
    state = {"name": "orin", "address": "nvidia@10.0.0.4", "machine": MACHINE, "device": DEVICE, "libc": "glibc 2.35"}
    state |= {"architecture": "aarch64", "folder": "/ssd/segkd", "free_bytes": 12.34e9, "kept_bytes": 320e6}
    assert state_rows({**state, "holder": None, "lacking": ["numpy>=1.24"]}) == {
        "target": "orin (nvidia@10.0.0.4)",
        "device": "NVIDIA Jetson Orin NX",
        "python": "3.10.12, aarch64, glibc 2.35",
        "jetson": "L4T 36.4.3, JetPack 6.2, nvpmodel 0 (MAXN)",
        "clocks": "cpu MHz 1984, gpu MHz 918, locked no",
        "tensorrt": "10.3.0",
        "disk": "12.3 GB free, 320 MB kept in /ssd/segkd",
        "brought": "numpy>=1.24",
        "in use": "no",
    }
    rows = state_rows({**state, "holder": "me@desk (process 7) has used it for 3 s", "lacking": []})
    assert rows["in use"].startswith("me@desk") and rows["brought"].startswith("nothing")
