"""Callbacks of a training: checkpoints, tables, guards, signals.

Each is a file here and a node in ``configs/callbacks``; none depends on another.
"""
