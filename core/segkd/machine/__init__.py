"""What this machine has.

- ``inventory``: Python, libraries and devices, without importing any of them
- ``cpus``: the cores that a process may use
- ``no_telemetry``: keeps libraries from calling home
"""
