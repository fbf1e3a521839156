"""The run folder: what is written there, watched and shown.

Standard library and rich, so that commands start at once.
"""
