"""segkd: distil, export, validate, benchmark and release small segmentation models.

- ``cli``: the front door, a table of commands; ``commands/``: those of this room; ``options``: what they share
- ``data/``, ``metrics/``, ``evaluation/``: labelled images, quality, scoring; ``recipe/``: what a run is
- ``manifest``: what an artifact is; ``folders``: what the files of runs and artifacts are called
- ``files/``: reading and writing; ``report/``, ``table``: results for people; ``machine/``: what is here
- ``errors``, ``ending/``: what goes wrong, and how a command ends; ``quickstart``: the whole chain
"""

from segkd.machine.no_telemetry import switch_off

__version__ = "0.1.0"

# Here, because every module of every room imports this one before it can import a library that calls home.
switch_off()
