"""segkd: distil, export, validate, benchmark and release small segmentation models."""

__version__ = "0.1.0"
