"""Does an exported graph still say what its source said? Where not, is it noise or a wiring fault, and which?"""

from segkd_deploy.parity.chain import Plan, validate_artifact
from segkd_deploy.parity.limits import LIMITS, Limits, check_gates, limits_of, parse_gates
from segkd_deploy.parity.steps import compare_variant

__all__ = [
    "LIMITS",
    "Limits",
    "Plan",
    "check_gates",
    "compare_variant",
    "limits_of",
    "parse_gates",
    "validate_artifact",
]
