"""PASCAL VOC: 20 objects and background, in the order of their file values 0..20."""

from __future__ import annotations

from segkd.data.formats.palette import voc_colour
from segkd.data.readers.labels.listed import listed_names

NAMES = listed_names("""
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike,
person, pottedplant, sheep, sofa, train, tvmonitor
""")

PALETTE = tuple(voc_colour(value) for value in range(len(NAMES)))
