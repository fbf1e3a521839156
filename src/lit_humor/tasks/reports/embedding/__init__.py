"""Pages of runs that find answers by vectors: recall beside a baseline, rows with their neighbours, slices.

``sections`` is found by the name of this folder, which is the kind of the task.
"""
