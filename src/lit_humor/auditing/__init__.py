"""Finds faults in data, and writes copies without them.

Reads and checks rows before any training; writes no file but the copy that it is asked for.
"""
