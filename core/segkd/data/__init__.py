"""Labelled images: label spaces, one reader per data set, and the built-in street scenes.

A data set is named the same way everywhere, on the command line and in recipes: ``NAME:PATH[,option=value...]``.
"""

from segkd.data.base import DATASETS, Dataset, LabelSpace, Sample, open_dataset

__all__ = ["DATASETS", "Dataset", "LabelSpace", "Sample", "open_dataset"]
