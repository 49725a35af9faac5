"""Networks to learn from.

- ``teacher``: opens the network that a recipe names
- ``class_map``: which class of the data each of its classes becomes; ``mapped_teacher``: a network behind such a map
- ``fitted_teacher``: a network that takes one size of images, for images of any
"""
