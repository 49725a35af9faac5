"""From a trained run to complete ONNX graphs (needs torch and onnx).

- ``artifact``: the whole export; ``sources``: what it is made from; ``origin``: where the network comes from
- ``graph/``: the deployable graph; ``variants``, ``precision/``: its forms in fp32, fp16 and int8
- ``reference``: frames that a device compares with; ``run_evaluation``: the run's own scores
- ``lint/``: what a chip refuses; ``progress``: how far it is
"""
