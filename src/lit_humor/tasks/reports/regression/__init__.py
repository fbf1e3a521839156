"""Pages of runs that predict a number: errors with intervals, predictions, the largest errors, comparisons.

``sections`` and ``comparison`` are found by the name of this folder, which is the kind of the task.
"""
