"""Losses: a model and a batch in, one float32 value a row out.

Add a file and a node in ``configs/objective`` to add one.
"""
