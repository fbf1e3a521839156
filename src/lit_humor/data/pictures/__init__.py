"""Pictures of rows: drawn by a program, or read from files.

Only here is Pillow imported, and not by ``store.py`` and ``patch_store.py``, which loader processes import.
"""
