"""Pages of runs that write texts: scores beside a baseline, texts beside their answers, faults of written texts.

``sections`` is found by the name of this folder, which is the kind of the task.
"""
