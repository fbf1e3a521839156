"""Names, shapes, errors and streams of random numbers that every room shares.

Imports no other room; change it only when a contract changes.
"""
