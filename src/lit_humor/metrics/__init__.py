"""Metrics of predictions and labels.

One file per metric; nothing here depends on models or runs.
"""
