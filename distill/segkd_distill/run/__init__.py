"""The run folder while a run is on.

- ``run_folder``: begin, save, restore, finish; ``lock``: one process owns it
- ``resume``: ``last.ckpt``; ``changes``: what may differ when a run is resumed; ``earlier``: runs of an earlier segkd
- ``metrics_log``, ``progress``: what is logged and shown
- ``interrupt``: signals; ``provenance``: versions and commit
"""
