"""From files to batches.

What ``reading``, ``sources``, ``dividing`` and ``batches`` share: rows, settings, the data report.
"""
