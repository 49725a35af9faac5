"""Releases: gates over fresh evidence, a bundle with checksums, and its card.

- ``bundle``: writes one; ``verify``: whether it is what it says; ``checksums``, ``archive``: its hashes, its archive
- ``card``: the model card
"""
