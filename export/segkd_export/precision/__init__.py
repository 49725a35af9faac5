"""fp16 and int8.

- ``fp16``, ``half_range``: half precision, and what leaves its range
- ``int8``: both forms; ``int8_search``: which layers stay in float; ``sensitivity``: what each costs
- ``calibration``, ``calibration_data``: ranges and the frames that give them
- ``probe``, ``regions``: running parts of a graph
"""
