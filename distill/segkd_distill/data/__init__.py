"""Training batches: geometry on the host in uint8, colour and normalisation on the device.

- ``training_sets``: what a recipe names, opened; ``meaning``: what is wrong with it; ``memory``: decoded samples kept
- ``loader``: the batches, a function of seed and number alone; ``seeding``: its random numbers
- ``augment``: the recipe's section; ``geometry``, ``user_transforms``: on the host; ``photometric``, ``blur``: on the
  device
"""
