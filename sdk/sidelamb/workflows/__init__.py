"""Workflows, on top of batches: chains of steps, groups side by side, and a step with all results of a group.

`steps.py` is what users write; `launching.py` makes jobs of it; `carrying.py` is what a worker does when a step
has succeeded: the next one is pushed in the script that settles it.
"""
