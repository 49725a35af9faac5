"""Running, comparing, timing and releasing exported graphs; no torch, no data set needed."""
