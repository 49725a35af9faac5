"""Does an exported graph still say what its source said? Where not, is it noise or a wiring fault, and which?

- ``chain``: the whole chain; ``steps``: one step of it; ``compare``: two label maps or sets of logits
- ``whole_set``: on a whole data set; ``earlier``: what an earlier run said; ``pictures``: the worst frames
- ``sessions``: graphs in memory; ``diagnosis/``: what is wrong with a graph
"""

from segkd_deploy.parity.chain import Plan, validate_artifact
from segkd_deploy.parity.steps import compare_variant

__all__ = ["Plan", "compare_variant", "validate_artifact"]
