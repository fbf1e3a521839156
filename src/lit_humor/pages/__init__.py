"""Builds HTML pages.

Templates and styles; no numbers are computed here.
"""
