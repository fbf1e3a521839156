"""Measures speed against named peers: what suites share.

Suites are files of ``suites/``; a new one needs no change here.
"""
