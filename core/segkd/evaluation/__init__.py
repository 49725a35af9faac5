"""Scoring a network, a graph or a checkpoint on a data set, all through the same metrics."""

from segkd.evaluation.loop import evaluate_set
from segkd.evaluation.predictor import Inference, NotFiniteError, Predictor
from segkd.evaluation.protocols import FULL, PROTOCOLS, Protocol, protocol_of

__all__ = ["FULL", "PROTOCOLS", "Inference", "NotFiniteError", "Predictor", "Protocol", "evaluate_set", "protocol_of"]
