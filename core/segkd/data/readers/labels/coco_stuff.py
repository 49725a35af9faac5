"""COCO-Stuff: the labels 1..182 of nightrome/cocostuff, ``labels.txt``; 1..91 are things, 92..182 stuff.

The files of the 10k release hold these labels (0 = unlabelled), those of the 164k release one less (255 = unlabelled).
Eleven things were never annotated, which leaves the 171 classes that are scored.
"""

from __future__ import annotations

from segkd.data.formats.palette import voc_colour
from segkd.data.readers.labels.listed import listed_names

LABELS = listed_names("""
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, street sign, stop
sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, hat, backpack,
umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat,
baseball glove, skateboard, surfboard, tennis racket, bottle, plate, wine glass, cup, fork, knife, spoon, bowl,
banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed,
mirror, dining table, window, desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven,
toaster, sink, refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush,
banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile,
cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other,
floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel, ground-other,
hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow,
plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent, textile-other,
towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood,
water-other, waterdrops, window-blind, window-other, wood
""")

# Labels that no file has: street sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender, hair brush.
NEVER_ANNOTATED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)

# The labels of the 171 classes, in the order of their indices.
SCORED = tuple(label for label in range(1, len(LABELS) + 1) if label not in NEVER_ANNOTATED)


def colour(label: int) -> tuple[int, int, int]:
    """A label's colour: PASCAL VOC's for this number, so that no two share one (nine pairs do in mmsegmentation)."""
    return voc_colour(label)
