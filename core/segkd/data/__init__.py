"""Labelled images: label spaces, one reader per data set, and the built-in street scenes.

A data set is named the same way everywhere, on the command line and in recipes: ``NAME:PATH[,option=value...]``.

- ``base``: what a data set is, and the table of readers; ``readers/``: one per data set; ``frames``: ``frames=``
- ``layout/``, ``formats/``: how files lie in folders, and what single files hold
- ``check``, ``checks/``: what is wrong and what the data mean; ``remarks``: the same in words for train and eval
- ``cache``, ``cache_files``: a decoded copy; ``stats``: class shares and sizes; ``picture_grid``: drawn samples
- ``street_scenes/``: labelled scenes from a seed
"""

from segkd.data.base import DATASETS, Dataset, LabelSpace, Sample, open_dataset

__all__ = ["DATASETS", "Dataset", "LabelSpace", "Sample", "open_dataset"]
