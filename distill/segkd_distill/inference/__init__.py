"""A network over whole images and data sets.

- ``evaluate``: scores on a data set; ``eval_source``: what ``segkd eval`` scores
- ``sliding_window``, ``multi_scale``, ``logit_map``: how an image is labelled
"""
