"""Pages of runs that classify: scores with intervals, confusion, probabilities, rows to read, comparisons.

``sections`` and ``comparison`` are found by the name of this folder, which is the kind of the task.
"""
