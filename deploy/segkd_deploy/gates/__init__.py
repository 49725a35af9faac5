"""Gates: every quantity that is limited, its limits by precision, how users change them, and the one check.

``segkd validate`` holds a graph against the limits of its precision, changed by the recipe's gates that stand in the
manifest. ``segkd release`` and ``segkd deploy`` hold the same limits, which a gates file can make stricter but not
looser, and add speed and size. What ``parity.json`` says failed has failed everywhere.

table.py has the gates and the limits by precision, values.py says where each value stands, reading.py reads ``--gate``,
``gates.yaml`` and recipes, check.py holds evidence against limits, example.py is a gates file to begin with.
"""

from segkd_deploy.gates.check import check, check_evidence, failed_gates, holds, loosened, strictest
from segkd_deploy.gates.reading import check_limits, chosen, load_gates, parse_gates
from segkd_deploy.gates.table import DEFAULTS, GATES, limits_of
from segkd_deploy.gates.values import miou

__all__ = [
    "DEFAULTS",
    "GATES",
    "check",
    "check_evidence",
    "check_limits",
    "chosen",
    "failed_gates",
    "holds",
    "limits_of",
    "load_gates",
    "loosened",
    "miou",
    "parse_gates",
    "strictest",
]
