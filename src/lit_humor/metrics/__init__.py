"""Numbers from predictions and labels.

Add a file to add a metric; nothing here knows models or runs.
"""
