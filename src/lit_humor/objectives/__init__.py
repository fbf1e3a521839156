"""Losses: a model and a batch in, one float32 value for each row out.

A new loss is a new file, and a node in ``configs/objective``.
"""
