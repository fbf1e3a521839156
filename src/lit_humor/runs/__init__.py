"""Reads, watches and shows run folders.

Uses only the standard library and rich, so that commands start at once.
"""
