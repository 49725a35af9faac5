"""Accuracy, latency, size and energy side by side, from the files that other commands wrote."""
