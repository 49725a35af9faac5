"""Formats of single files.

- ``decode``: pictures and masks from PNG, JPEG and others
- ``exif``: turns pictures upright; ``opencv_log``: keeps OpenCV quiet
- ``palette``, ``value_map``: from a mask's values to classes
- ``mat_file``, ``run_length``, ``context_json``: annotations of PASCAL Context and COCO-Stuff
- ``whole_file``: files that were cut short
"""
