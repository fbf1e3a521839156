"""What report.py shows of a task beside what every run shows: a folder for each kind of task, found by its name.

A kind without a folder gets a page of its numbers alone. Nothing here loads torch or writes into a run folder.
"""
