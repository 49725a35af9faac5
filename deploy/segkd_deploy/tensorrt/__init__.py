"""TensorRT 8.6 to 11 and TensorRT-RTX behind one interface.

- ``api``: the library, found by its names; ``cuda``: memory and streams
- ``engines``, ``engine_cache``, ``build``: engines, where they are kept, and ``segkd build``
- ``session``: an engine that runs
"""
