"""CamVid: the 32 colours of the original label files, and the 11 classes that SegNet made of them.

Colours: the data set's ``label_colors.txt``. Groups and the colours of the 11 classes: MathWorks' segmentation example
(``camvidPixelLabelIDs``, ``camvidColorMap``), which has SegNet's classes in SegNet's order.
"""

from __future__ import annotations

from typing import NamedTuple

from segkd.data.formats.value_map import Colour

VOID = "Void"


class Group(NamedTuple):
    """One of the 11 classes: name, colour, and the original classes in it."""

    name: str
    colour: Colour
    members: tuple[str, ...]


# In the order of the file values 0..10; 11 is void.
GROUPS: tuple[Group, ...] = (
    Group("sky", (128, 128, 128), ("Sky",)),
    Group("building", (128, 0, 0), ("Building", "Wall", "Tunnel", "Archway", "Bridge")),
    Group("pole", (192, 192, 128), ("Column_Pole", "TrafficCone")),
    Group("road", (128, 64, 128), ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv")),
    Group("pavement", (60, 40, 222), ("Sidewalk", "ParkingBlock", "RoadShoulder")),
    Group("tree", (128, 128, 0), ("Tree", "VegetationMisc")),
    Group("sign", (192, 128, 128), ("SignSymbol", "Misc_Text", "TrafficLight")),
    Group("fence", (64, 64, 128), ("Fence",)),
    Group("car", (64, 0, 128), ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving")),
    Group("pedestrian", (64, 64, 0), ("Pedestrian", "Child", "CartLuggagePram", "Animal")),
    Group("bicyclist", (0, 128, 192), ("Bicyclist", "MotorcycleScooter")),
)

# The original classes, in the order of label_colors.txt.
COLOURS: dict[str, Colour] = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    VOID: (0, 0, 0),
    "Wall": (64, 192, 0),
}
