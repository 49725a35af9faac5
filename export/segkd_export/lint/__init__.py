"""What a chip's TensorRT will refuse, found without a GPU.

- ``lint``: runs the rules; ``rules``: what a rule is and finds
- ``graph``: the graph as the rules see it
- ``operators``, ``quantisation``, ``dla``: the rules
"""
