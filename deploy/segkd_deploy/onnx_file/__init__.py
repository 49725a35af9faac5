"""The bytes of ONNX files, read and written without onnx.

- ``wire``: fields of a message, read and written
- ``header``: shapes and metadata; ``tail``: how a graph ends
- ``edit``: small changes of a graph, for the diagnosis; ``matmul``: a graph that measures the peak
- ``agreement``: whether a graph is what the manifest says
"""
