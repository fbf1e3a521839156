"""Assigns rows to splits, folds and stages, and orders the rows for training.

Equal and nearly equal texts stay in the same split.
"""
