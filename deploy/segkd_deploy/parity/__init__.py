"""Does an exported graph still say what its source said? Where not, is it noise or a wiring fault, and which?"""

from segkd_deploy.parity.chain import Plan, validate_artifact
from segkd_deploy.parity.steps import compare_variant

__all__ = ["Plan", "compare_variant", "validate_artifact"]
