"""An artifact in a product, and ``segkd predict``.

- ``model``: ``Model`` and ``load``: frames in, labels out
- ``choice``: which runtime and variant ``load`` takes
- ``predict``, ``predict_files``, ``predict_video``: pictures, folders and videos on disk
- ``video``: reading and writing videos; ``video_header``: what a header is good for; ``frame_slots``: their length
- ``picture_notes``: what is said of unusual pictures
"""
