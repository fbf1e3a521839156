"""What is wrong with data, and copies without it.

Reads and judges rows before any training; changes no file but the copy it is asked for.
"""
