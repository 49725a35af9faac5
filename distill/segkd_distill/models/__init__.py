"""Networks and their weights.

- ``segmenter``: a backbone of ``backbones/`` with a head of ``heads/``; ``layers``, ``pooling``: their pieces
- ``config``: what a network is built from; ``zoo``: the named ones; ``catalogue/``: their figures and weights
- ``network``, ``output``: what every network offers, whoever built it; ``sources``, ``adapters/``: those of others
- ``saved_model``: in and out of a run folder; ``checkpoints/``: weights from files
- ``teachers/``: networks to learn from
"""
