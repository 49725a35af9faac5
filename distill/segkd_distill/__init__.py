"""Training and distillation of segmentation networks (needs torch).

- ``train``: the loop; ``step``: one forward pass; ``validation``: which weights are kept; ``weight_average``: of them
- ``assemble``: from a recipe to all parts: ``student``, ``task_loss``, ``class_weights``, ``optim``, ``balance``
- ``device``: where, and in what precision; ``recipe_parts``: which names the recipe may use
- ``data/``, ``models/``, ``losses/``, ``methods/``, ``inference/``; ``run/``: the run folder
"""
