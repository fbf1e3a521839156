"""What happens beside training: checkpoints, tables, guards, signals.

Each is a file and a node in ``configs/callbacks``; none knows another.
"""
