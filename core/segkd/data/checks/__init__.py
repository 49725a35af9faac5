"""What a data set means, beyond that its files can be read: one module per kind of finding."""
