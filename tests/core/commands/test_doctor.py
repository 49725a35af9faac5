from __future__ import annotations

import json
import platform

from click.testing import CliRunner

import segkd
from segkd.cli import cli
from segkd.machine.inventory import PACKAGES


def test_doctor_for_people() -> None:
    result = CliRunner().invoke(cli, ["doctor"])
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert result.exit_code == 0
    assert rows["python"] == platform.python_version()
    assert rows["segkd"] == segkd.__version__
    assert set(PACKAGES) <= set(rows)


def test_doctor_for_machines() -> None:
    machine = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)
    assert machine["packages"]["segkd"] == segkd.__version__
    assert machine["cores"] >= 1
    assert set(machine) == {
        "python",
        "platform",
        "cpu",
        "cores",
        "cpu_quota",
        "memory_gib",
        "gpus",
        "l4t",
        "packages",
        "onnxruntime_providers",
    }
