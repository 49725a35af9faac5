"""Networks: backbones, heads, the segmenter that joins them, and the table of models."""
