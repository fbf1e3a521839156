"""Formats for other programs, a file each.

They get a model and a folder, and know no configuration.
"""
