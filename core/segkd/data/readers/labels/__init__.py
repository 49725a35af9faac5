"""Names, colours and file values of the published data sets' classes: one table per data set."""
