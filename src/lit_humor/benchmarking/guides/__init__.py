"""The guides to speed of families, one file each, which ``bench.py suite=families`` measures.

A new file with a ``GUIDE``, named as the family, is a new guide; there is no list of them.
"""
