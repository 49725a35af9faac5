"""What is wrong with a graph that does not agree: known faults, undone one by one.

- ``diagnose``: tries all of them; ``case``: what they are given
- ``input_faults``, ``resize_faults``, ``body_faults``, ``tail_faults``, ``precision_faults``: the faults by their place
- ``frames``, ``resampling``: how frames and labels are changed to undo one
"""
