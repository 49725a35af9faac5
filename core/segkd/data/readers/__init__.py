"""One reader per data set, found through ``segkd.data.base.DATASETS``; ``labels/`` holds the published label spaces."""
