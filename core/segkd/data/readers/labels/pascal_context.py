"""PASCAL Context: the 59 frequent classes and their numbers among the 459 of the full annotation.

Numbers: ``labels.txt`` of the data set, where all 459 names stand in alphabetical order; the classes keep this order.
Colours: as mmsegmentation 1.2.2, the first 60 of ADE20K.
"""

from __future__ import annotations

from segkd.data.readers.labels.ade20k import PALETTE as _ADE20K_PALETTE
from segkd.data.readers.labels.listed import listed_names

# Number among the 459 -> name, in the order of the file values 1..59 of 60-class masks.
CLASSES = {
    int(number): name
    for name, number in (
        entry.split()
        for entry in listed_names("""
aeroplane 2, bag 9, bed 18, bedclothes 19, bench 22, bicycle 23, bird 25, boat 31, book 33, bottle 34, building 44,
bus 45, cabinet 46, car 59, cat 65, ceiling 68, chair 72, cloth 80, computer 85, cow 98, cup 104, curtain 105, dog
113, door 115, fence 144, floor 158, flower 159, food 162, grass 187, ground 189, horse 207, keyboard 220, light 232,
motorbike 258, mountain 259, mouse 260, person 284, plate 295, platform 296, pottedplant 308, road 324, rock 326,
sheep 347, shelves 349, sidewalk 354, sign 355, sky 360, snow 366, sofa 368, table 397, track 415, train 416, tree
420, truck 424, tvmonitor 427, wall 440, water 445, window 454, wood 458
""")
    )
}

BACKGROUND = "background"
PALETTE_60 = _ADE20K_PALETTE[: len(CLASSES) + 1]

# The largest number of the full annotation; 431 of it is "unknown".
LAST_NUMBER = 459
