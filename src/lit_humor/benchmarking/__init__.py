"""Measures speed and compares it with other trainers; the parts that suites share.

Each suite is a file of ``suites/``; a new one needs no change here.
"""
