"""segkd: distil, export, validate, benchmark and release small segmentation models."""

from segkd.machine.no_telemetry import switch_off

__version__ = "0.1.0"

# Here, because every module of every room imports this one before it can import a library that calls home.
switch_off()
