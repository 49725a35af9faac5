"""Procedural street scenes: labelled pictures from a seed, without a download.

A scene is painted part by part, far to near, on a map of part numbers (:mod:`canvas`); colour, texture, weather and
camera come last (:mod:`render`), so labels are exact and image borders are as mixed as a camera's. The labels are
Cityscapes ids, and :func:`write_tree` writes the folders of Cityscapes: every reader of Cityscapes reads them.

The pictures are hard on purpose: road and side walk, grass and trees, walls and buildings share their colours, each
class has several looks, fog, shadows, blur and sensor noise lie over everything, and poles, fences, bicycles and signs
are a few pixels thin.

- ``scene``: one picture with its labels; ``tree``: many, as a folder of Cityscapes
- ``canvas``, ``colours``: part numbers, and what each part looks like; ``render``: light, weather and camera
- ``street``, ``roadside``, ``objects``, ``posts``: what is painted
"""

from segkd.data.street_scenes.canvas import CLASSES
from segkd.data.street_scenes.scene import scene
from segkd.data.street_scenes.tree import SyntheticTree, write_tree

__all__ = ["CLASSES", "SyntheticTree", "scene", "write_tree"]
