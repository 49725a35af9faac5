"""Accuracy, latency, size and energy side by side, from the files that other commands wrote.

- ``sources``: which folders and files are compared
- ``collect``: rows from artifacts and measurements; ``run_entry``: the row of a run; ``entry``: what a row is
- ``conflicts``: what makes two rows incomparable; ``comparison``: rows that may be compared, and what beats what
- ``write``: as table, Markdown, page and plots; ``scatter``: cost against mIoU as SVG
"""
