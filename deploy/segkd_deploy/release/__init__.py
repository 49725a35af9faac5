"""Releases: gates over fresh evidence, a bundle with checksums, and its card.

- ``bundle``: writes one; ``verify``: whether it is what it says; ``checksums``, ``archive``: its hashes, its archive
- ``earlier``: the gates of bundles that an earlier segkd released
- ``card``: the model card
"""
