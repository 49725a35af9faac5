"""Trees of /sys, /proc and /etc as Jetsons have them, built from the documented paths; no device was copied.

Paths and forms: NVIDIA Jetson Linux Developer Guide r36 (rails, thermal zones, over-current counters), the kernel's
Documentation/hwmon/ina3221 and ina238, and public logs of devices (names of Thor's devfreq folders, nvpmodel files).
The numbers are chosen so that sums can be worked out by hand.
"""

from __future__ import annotations

import os
from pathlib import Path

CPU_KHZ = (729600, 1510400, 1190400)
THROTTLE_C = 99.0


class Tree:
    """A tree below a folder; paths are those of the system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, value: object) -> None:
        """Write a file in one step, as the kernel shows its files: never empty."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        hidden = file.with_name(f".{file.name}.new")
        hidden.write_text(f"{value}\n")
        os.replace(hidden, file)

    def read(self, path: str) -> str:
        return self.path(path).read_text().strip()

    def remove(self, path: str) -> None:
        self.path(path).unlink()

    def refuse(self, path: str) -> None:
        """Make reading fail after opening, as a sensor does whose part of the chip is off."""
        self.path(path).mkdir(parents=True)

    def identity(self, model: str, compatible: list[str], l4t: tuple[int, str], mode: int) -> None:
        self.write("/proc/device-tree/model", f"{model}\0")
        self.write("/proc/device-tree/compatible", "\0".join(compatible) + "\0")
        release, revision = l4t
        line = f"# R{release} (release), REVISION: {revision}, GCID: 38968081, BOARD: generic, EABI: aarch64"
        self.write("/etc/nv_tegra_release", f"{line}\n# KERNEL_VARIANT: oot")
        self.write("/var/lib/nvpmodel/status", f"pmode:{mode:04d}")

    def power_modes(self, names: list[str]) -> None:
        modes = [f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1" for number, name in enumerate(names)]
        self.write("/etc/nvpmodel.conf", "\n\n".join(["< PARAM TYPE=FILE NAME=CPU_ONLINE >", *modes]))

    def package(self, name: str, version: str) -> None:
        file = self.path("/var/lib/dpkg/status")
        before = file.read_text() if file.exists() else ""
        entry = f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nDescription: {name}\n more: text\n"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{before}{entry}\n")

    def ina3221(self, chip: str, number: int, rails: list[tuple[str, int, int]]) -> str:
        """Rails as (label, mV, mA), and the seventh channel that is no rail."""
        folder = f"/sys/bus/i2c/drivers/ina3221/{chip}/hwmon/hwmon{number}"
        self.write(f"{folder}/name", "ina3221")
        for channel, (label, millivolts, milliamps) in enumerate(rails, start=1):
            self.write(f"{folder}/in{channel}_label", label)
            self.write(f"{folder}/in{channel}_input", millivolts)
            self.write(f"{folder}/curr{channel}_input", milliamps)
            self.write(f"{folder}/curr{channel}_crit_alarm", 0)
            self.write(f"{folder}/curr{channel}_max_alarm", 0)
        self.write(f"{folder}/in7_label", "sum of shunt voltages")
        self.write(f"{folder}/in7_input", 1234)
        self.write(f"{folder}/curr7_input", 99999)
        return folder

    def zone(self, number: int, kind: str, celsius: float | None, passive_c: float | None = THROTTLE_C) -> None:
        """A thermal zone with a fan's trip point, and perhaps a passive and the critical one."""
        folder = f"/sys/class/thermal/thermal_zone{number}"
        self.write(f"{folder}/type", kind)
        self.write(f"{folder}/temp", -256000 if celsius is None else round(celsius * 1000))
        trips = [("active", 51.0), ("critical", 104.5)] + ([("passive", passive_c)] if passive_c is not None else [])
        for trip, (name, trip_c) in enumerate(trips):
            self.write(f"{folder}/trip_point_{trip}_type", name)
            self.write(f"{folder}/trip_point_{trip}_temp", round(trip_c * 1000))

    def devfreq(self, name: str, current: int, lowest: int, highest: int, governor: str = "nvhost_podgov") -> None:
        for file, value in (("cur_freq", current), ("min_freq", lowest), ("max_freq", highest)):
            self.write(f"/sys/class/devfreq/{name}/{file}", value)
        self.write(f"/sys/class/devfreq/{name}/governor", governor)

    def policies(self, *first_cpus: int) -> None:
        lowest, highest, current = CPU_KHZ
        for cpu in first_cpus:
            folder = f"/sys/devices/system/cpu/cpufreq/policy{cpu}"
            for file, value in (("min", lowest), ("max", highest), ("cur", current)):
                self.write(f"{folder}/scaling_{file}_freq", value)
            self.write(f"{folder}/scaling_governor", "schedutil")
            self.write(f"{folder}/scaling_available_governors", "ondemand performance schedutil")

    def emc(self, rate: int, highest: int, cap: int) -> None:
        folder = "/sys/kernel/debug/bpmp/debug/clk/emc"
        for file, value in (("rate", rate), ("min_rate", 204000000), ("max_rate", highest), ("mrq_rate_locked", 0)):
            self.write(f"{folder}/{file}", value)
        self.write("/sys/kernel/nvpmodel_emc_cap/emc_iso_cap", cap)

    def soctherm(self, number: int, counts: tuple[int, int, int] = (0, 0, 0)) -> None:
        folder = f"/sys/class/hwmon/hwmon{number}"
        self.write(f"{folder}/name", "soctherm_oc")
        for index, count in enumerate(counts, start=1):
            self.write(f"{folder}/oc{index}_event_cnt", count)

    def fan(self, number: int, pwm: int, rpm: int) -> None:
        self.write(f"/sys/class/hwmon/hwmon{number}/name", "pwmfan")
        self.write(f"/sys/class/hwmon/hwmon{number}/pwm1", pwm)
        self.write(f"/sys/class/hwmon/hwmon{number + 1}/name", "pwm_tach")
        self.write(f"/sys/class/hwmon/hwmon{number + 1}/rpm", rpm)

    def alerts(self, *names: str) -> None:
        for number, name in enumerate(names):
            self.write(f"/sys/class/thermal/cooling_device{number}/type", name)
            self.write(f"/sys/class/thermal/cooling_device{number}/cur_state", 0)


def orin_nano(root: Path) -> Tree:
    """Orin Nano 8 GB developer kit, JetPack 6.2, 25 W."""
    tree = Tree(root)
    model = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    compatible = ["nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"]
    tree.identity(model, compatible, (36, "4.3"), mode=1)
    tree.power_modes(["15W", "25W", "MAXN_SUPER", "7W"])
    tree.package("nvidia-jetpack-dev", "9.9")
    tree.package("nvidia-jetpack", "6.2+b77")
    tree.ina3221("1-0040", 1, [("VDD_IN", 5000, 1800), ("VDD_CPU_GPU_CV", 5000, 600), ("VDD_SOC", 5000, 300)])
    tree.zone(0, "cpu-thermal", 48.5)
    tree.zone(1, "gpu-thermal", 47.0)
    tree.zone(2, "cv0-thermal", None)
    tree.write("/sys/class/thermal/thermal_zone3/type", "cv1-thermal")
    tree.refuse("/sys/class/thermal/thermal_zone3/temp")
    tree.zone(8, "tj-thermal", 48.5, passive_c=None)
    tree.devfreq("17000000.gpu", 306000000, 306000000, 918000000)
    tree.devfreq("15340000.vic", 115200000, 115200000, 435200000)
    tree.policies(0, 4)
    tree.emc(2133000000, 3199000000, 2133000000)
    tree.soctherm(3)
    tree.fan(4, 77, 2140)
    tree.alerts("cpu-throttle-alert", "gpu-throttle-alert", "pwm-fan")
    return tree


def orin_nx(root: Path) -> Tree:
    """Orin NX 16 GB on a carrier whose device tree names another module; the GPU's folder of JetPack 5."""
    tree = Tree(root)
    model = "NVIDIA Jetson Orin Nano Developer Kit"
    compatible = ["nvidia,p3768-0000+p3767-0000", "nvidia,p3767-0000", "nvidia,tegra234"]
    tree.identity(model, compatible, (36, "3.0"), mode=0)
    tree.power_modes(["MAXN", "10W", "15W", "25W"])
    tree.ina3221("1-0040", 2, [("VDD_IN", 19000, 1000), ("VDD_CPU_GPU_CV", 19000, 400), ("VDD_SOC", 19000, 200)])
    tree.zone(0, "CPU-therm", 61.0)
    tree.zone(1, "GPU-therm", 60.0)
    tree.devfreq("17000000.ga10b", 918000000, 306000000, 918000000)
    tree.policies(0, 4)
    tree.soctherm(0, (0, 15, 37))
    return tree


def agx_orin(root: Path) -> Tree:
    """AGX Orin 64 GB, JetPack 6.1, MAXN; no rail measures the whole."""
    tree = Tree(root)
    compatible = ["nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"]
    tree.identity("NVIDIA Jetson AGX Orin Developer Kit", compatible, (36, "4.0"), mode=0)
    tree.power_modes(["MAXN", "15W", "30W", "50W"])
    tree.ina3221("1-0040", 3, [("VDD_GPU_SOC", 20000, 400), ("VDD_CPU_CV", 20000, 150), ("VIN_SYS_5V0", 5000, 900)])
    tree.ina3221("1-0041", 4, [("NC", 1, 1), ("VDDQ_VDD2_1V8AO", 5000, 200), ("NC", 1, 1)])
    tree.zone(0, "cpu-thermal", 50.0)
    tree.zone(1, "gpu-thermal", None)
    tree.zone(8, "tj-thermal", 51.25)
    tree.devfreq("17000000.gpu", 1300500000, 306000000, 1300500000)
    tree.policies(0, 4, 8)
    tree.emc(3199000000, 3199000000, 0)
    tree.soctherm(2)
    return tree


def thor(root: Path) -> Tree:
    """AGX Thor developer kit, JetPack 7.0; its input is measured by an INA238."""
    tree = Tree(root)
    compatible = ["nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"]
    tree.identity("NVIDIA Jetson AGX Thor Developer Kit", compatible, (38, "2.0"), mode=1)
    tree.power_modes(["MAXN", "120W"])
    tree.ina3221("2-0040", 1, [("VDD_GPU", 20000, 500), ("VDD_CPU_SOC_MSS", 20000, 300), ("VIN_SYS_5V0", 5000, 1200)])
    folder = "/sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon2"
    tree.write(f"{folder}/name", "ina238")
    tree.write(f"{folder}/power1_input", 31500000)
    tree.write(f"{folder}/in1_input", 20000)
    tree.write(f"{folder}/curr1_input", 1575)
    tree.zone(0, "cpu-thermal", 53.7, passive_c=109.0)
    tree.write("/sys/class/thermal/thermal_zone1/type", "gpu-thermal")
    tree.refuse("/sys/class/thermal/thermal_zone1/temp")
    tree.zone(2, "tj-thermal", 55.1, passive_c=109.0)
    tree.devfreq("gpu-gpc-0", 1575000000, 315000000, 1575000000)
    tree.devfreq("gpu-nvd-0", 405000000, 405000000, 1692000000)
    tree.devfreq("bwmgr", 3200000000, 665600000, 4266000000, governor="userspace")
    tree.policies(0)
    tree.soctherm(5, (0, 2, 813))
    tree.fan(6, 58, 1786)
    return tree


def computer(root: Path) -> Tree:
    """An x86 machine with two RAPL packages, memory of one, and what must not be added to them."""
    tree = Tree(root)
    domains = [
        ("intel-rapl:0", "package-0", 1000000),
        ("intel-rapl:0:0", "core", 900000),
        ("intel-rapl:0:1", "dram", 500000),
        ("intel-rapl:1", "package-1", 2000000),
        ("intel-rapl:2", "psys", 9000000),
    ]
    for folder, name, microjoules in domains:
        tree.write(f"/sys/class/powercap/{folder}/name", name)
        tree.write(f"/sys/class/powercap/{folder}/energy_uj", microjoules)
        tree.write(f"/sys/class/powercap/{folder}/max_energy_range_uj", 262143328850)
    for cpu, package in ((0, 0), (1, 0), (2, 1)):
        tree.write(f"/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", package)
        tree.write(f"/sys/devices/system/cpu/cpu{cpu}/thermal_throttle/package_throttle_count", 7 + package)
    tree.zone(0, "acpitz", 28.0, passive_c=None)
    tree.zone(1, "acpitz", 30.0, passive_c=None)
    tree.policies(0, 1, 2)
    return tree


JETSONS = {"orin-nano": orin_nano, "orin-nx": orin_nx, "orin": agx_orin, "thor": thor}
