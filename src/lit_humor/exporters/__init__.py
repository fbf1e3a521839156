"""Exporters to formats of other programs, one file per format.

They take a model and a folder, and depend on no configuration.
"""
