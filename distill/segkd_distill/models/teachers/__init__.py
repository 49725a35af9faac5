"""Networks to learn from.

- ``teacher``: opens the network that a recipe names
- ``class_map``: which class of the data each of its classes becomes; ``mapped_teacher``: a network behind such a map
"""
