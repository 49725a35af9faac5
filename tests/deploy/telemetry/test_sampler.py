from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segkd.errors import SegkdError
from segkd_deploy.telemetry import Sampler, energy
from tests.deploy.telemetry.trees import JETSONS, Tree, computer, orin_nano

MS = 1_000_000
SLEEPER = """
import sys, time
from pathlib import Path
from segkd_deploy.telemetry import Sampler
with Sampler(Path(sys.argv[1])) as sampler:
    print(sampler._process.pid, flush=True)
    time.sleep(60)
"""


def sleep_in_window(seconds: float) -> tuple[int, int]:
    start_ns = time.monotonic_ns()
    time.sleep(seconds)
    return start_ns, time.monotonic_ns()


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    deadline_s = time.monotonic() + 20
    while running(pid):
        assert time.monotonic() < deadline_s, f"process {pid} is still there"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("board", "rail", "watts"),
    [
        ("orin-nano", "VDD_IN", 9.0),
        ("orin", "VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0", 15.5),
        ("thor", "VIN", 31.5),
    ],
)
def test_steady_power_of_a_board(tmp_path: Path, board: str, rail: str, watts: float) -> None:
    JETSONS[board](tmp_path)
    with Sampler(tmp_path, hz=50) as sampler:
        idle_w = sampler.idle_w(0.1)
        start_ns, end_ns = sleep_in_window(0.2)
    measured = sampler.telemetry(start_ns, end_ns)
    used = energy(measured, start_ns, end_ns, frames=4, idle_w=idle_w)
    assert idle_w == pytest.approx(watts)
    assert (used.rail, used.mean_w, used.max_w) == (rail, pytest.approx(watts), pytest.approx(watts))
    assert used.energy_mj_per_frame == pytest.approx(watts * (end_ns - start_ns) / 4e6)
    assert used.net_energy_mj_per_frame == pytest.approx(0, abs=1e-6)
    assert (measured.throttled, measured.reasons) == (False, ())


def test_samples_have_the_clock_of_this_process_and_surround_the_window(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    with Sampler(tmp_path, hz=50) as sampler:
        start_ns, end_ns = sleep_in_window(0.2)
        measured = sampler.telemetry(start_ns, end_ns)
        again = sampler.telemetry(start_ns, end_ns)
    times = [sample.time_ns for sample in measured.samples]
    assert times == sorted(times) and times[0] <= start_ns and times[-1] >= end_ns
    assert [sample.time_ns for sample in again.samples] == times
    # 50 per second were asked for; a loaded machine may give fewer, never more.
    assert 2 <= len(times) <= 14


def test_power_that_rises_is_seen(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    with Sampler(tmp_path, hz=50) as sampler:
        idle_w = sampler.idle_w(0.1)
        tree.write("/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/curr1_input", 3600)
        sampler.telemetry(None, time.monotonic_ns())  # waits for a sample after now
        start_ns, end_ns = sleep_in_window(0.2)
    used = energy(sampler.telemetry(start_ns, end_ns), start_ns, end_ns, 1, idle_w)
    assert (used.idle_w, used.mean_w) == (pytest.approx(9), pytest.approx(18))
    assert used.net_energy_mj_per_frame == pytest.approx(9 * (end_ns - start_ns) / 1e6)


def test_throttled_tree_gives_reasons(tmp_path: Path) -> None:
    tree = orin_nano(tmp_path)
    tree.write("/sys/class/devfreq/17000000.gpu/min_freq", 918000000)
    tree.write("/sys/class/devfreq/17000000.gpu/cur_freq", 918000000)
    with Sampler(tmp_path, hz=50) as sampler:
        start_ns = time.monotonic_ns()
        time.sleep(0.05)
        tree.write("/sys/class/devfreq/17000000.gpu/cur_freq", 510000000)
        tree.write("/sys/class/hwmon/hwmon3/oc3_event_cnt", 7)
        tree.write("/sys/class/thermal/thermal_zone1/temp", 99500)
        tree.write("/sys/class/thermal/cooling_device1/cur_state", 1)
        time.sleep(0.2)
        measured = sampler.telemetry(start_ns, time.monotonic_ns())
    assert measured.throttled and len(measured.reasons) == 4
    text = "; ".join(measured.reasons)
    assert "locked at 918 MHz" in text and "down to 510 MHz" in text
    assert "gpu-thermal reached 99.5 C; it slows the chip down from 99.0 C" in text
    assert "gpu-throttle-alert was on" in text
    assert "oc3_event_cnt (instantaneous over-current) grew by 7" in text
    assert measured.thermal.fields() == {
        "start_c": 48.5,
        "max_c": 99.5,
        "throttled": True,
        "events": {"oc1_event_cnt": 0, "oc2_event_cnt": 0, "oc3_event_cnt": 7},
    }


def test_energy_counters_of_a_computer(tmp_path: Path) -> None:
    tree = computer(tmp_path)
    with Sampler(tmp_path, hz=50) as sampler:
        start_ns = time.monotonic_ns()
        time.sleep(0.05)
        for folder, microjoules in (("0", 1000000 + 3000000), ("0:1", 500000 + 500000), ("2", 99000000)):
            tree.write(f"/sys/class/powercap/intel-rapl:{folder}/energy_uj", microjoules)
        sampler.telemetry(None, time.monotonic_ns())  # waits for a sample after now
        end_ns = time.monotonic_ns()
    used = energy(sampler.telemetry(start_ns, end_ns), start_ns, end_ns, 7, None)
    assert (used.rail, used.energy_mj_per_frame) == ("package-0+dram-0+package-1", pytest.approx(500))


def test_machine_without_sensors_still_gives_samples(tmp_path: Path) -> None:
    with Sampler(tmp_path, hz=50) as sampler:
        assert sampler.idle_w(0.05) is None
        assert sampler.source.reason == "power is not available: no RAPL counter under /sys/class/powercap"
        assert sampler.telemetry().reasons == ()


def test_process_imports_neither_numpy_nor_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from segkd_deploy.telemetry import sampling_process, clock_watchdog; "
        "print({'numpy', 'torch', 'click', 'pydantic', 'yaml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_process_ends_when_the_measuring_one_is_killed(tmp_path: Path) -> None:
    Tree(tmp_path)
    parent = subprocess.Popen([sys.executable, "-c", SLEEPER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent:
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.kill()
    wait_until_gone(pid)


def test_process_that_died_is_not_passed_over(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    with Sampler(tmp_path) as sampler:
        assert sampler._process is not None
        os.kill(sampler._process.pid, signal.SIGKILL)
        wait_until_gone(sampler._process.pid)
        with pytest.raises(SegkdError, match="the telemetry process ended early: no message"):
            sampler.telemetry()


def test_process_that_does_not_start_says_why(tmp_path: Path) -> None:
    sampler = Sampler(tmp_path)
    sampler._command = [sys.executable, "-c", "raise SystemExit('no such sensor')"]
    with pytest.raises(SegkdError, match="the telemetry process did not start: no such sensor"), sampler:
        pass


@pytest.mark.parametrize("hz", [0, 51, -1])
def test_rate_out_of_range(tmp_path: Path, hz: float) -> None:
    with pytest.raises(SegkdError, match="sampling rate: expected above 0 and at most 50 per second"):
        Sampler(tmp_path, hz=hz)


def test_sampler_that_was_not_entered(tmp_path: Path) -> None:
    with pytest.raises(SegkdError, match="the sampler was not entered"):
        Sampler(tmp_path).telemetry()


def test_process_alone_prints_json_lines(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    command = [sys.executable, "-m", "segkd_deploy.telemetry.sampling_process", "--root", str(tmp_path), "--hz", "50"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    header, *samples = (json.loads(line) for line in done.stdout.splitlines())
    assert (header["hz"], header["rails"], header["scope"]) == (50.0, ["VDD_IN"], "module")
    # One before and one after its input ended.
    assert len(samples) == 2 and samples[0]["power_w"]["VDD_IN"] == pytest.approx(9.0)
