"""From a trained run to complete ONNX graphs (needs torch and onnx)."""
