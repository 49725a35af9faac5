"""PASCAL VOC: 20 objects and background, in the order of their file values 0..20."""

from __future__ import annotations

from segkd.data.labels.listed import listed_names
from segkd.data.palette import voc_colour

NAMES = listed_names("""
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike,
person, pottedplant, sheep, sofa, train, tvmonitor
""")

PALETTE = tuple(voc_colour(value) for value in range(len(NAMES)))
