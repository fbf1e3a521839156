"""Data sources, one class each: files, the hub, the demo corpus.

To add a source, add a file here and one in ``configs/data``.
"""
