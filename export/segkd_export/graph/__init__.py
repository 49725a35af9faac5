"""The deployable graph.

- ``graph``: network, normalisation, upsampling and argmax as one module; ``camera_frame``: the camera's frame before it
- ``to_onnx``: from torch to ONNX; ``exporter_errors``: what the exporters raise, in words
- ``constant_pooling``: adaptive pooling as matrix products; ``opset``: opset 17 for TensorRT 8.6
- ``graph_check``: the graph against torch
"""
