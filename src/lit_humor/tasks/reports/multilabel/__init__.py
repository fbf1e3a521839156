"""Pages of runs that give several labels: scores with intervals, those of each label, rows to read.

``sections`` is found by the name of this folder, which is the kind of the task.
"""
