"""Training and distillation of segmentation networks (needs torch)."""
