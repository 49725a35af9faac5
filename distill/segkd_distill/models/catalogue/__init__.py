"""Which networks and weights there are.

- ``catalogue``, ``families``: the tables of ``segkd list models``; ``published``: their published figures
- ``flops``: operations of a network
- ``weights_table``, ``download``: ``segkd weights``
"""
