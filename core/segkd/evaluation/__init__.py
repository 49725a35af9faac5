"""Scoring a network, a graph or a checkpoint on a data set, all through the same metrics.

- ``score``: the work of ``segkd eval``; ``sources``: what can be scored, and which room opens it
- ``predictor``: what gives labels; ``loop``: over a data set; ``protocols``: whose rules
- ``table``, ``prediction_files``, ``worst_images``: what is shown and written
"""

from segkd.evaluation.loop import evaluate_set
from segkd.evaluation.predictor import Inference, NotFiniteError, Predictor
from segkd.evaluation.protocols import FULL, PROTOCOLS, Protocol, protocol_of

__all__ = ["FULL", "PROTOCOLS", "Inference", "NotFiniteError", "Predictor", "Protocol", "evaluate_set", "protocol_of"]
